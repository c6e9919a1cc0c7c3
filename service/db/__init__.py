"""Postgres. The only package that speaks SQL; it takes and returns domain dataclasses."""
