"""Releases in the database: which one is active, activation, and comparison. Loads no weights."""
