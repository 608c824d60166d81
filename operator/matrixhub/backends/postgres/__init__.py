"""Postgres: each tenant sees its own rows of shared tables, by row security."""
