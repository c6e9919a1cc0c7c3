"""Bump: user profiles for LLM applications, with a measured quality for every version served."""

__version__ = "0.1.0"
