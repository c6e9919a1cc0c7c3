"""The HTTP API: authenticate, validate, hand over to a flow."""
