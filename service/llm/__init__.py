"""Language models, over HTTP."""
