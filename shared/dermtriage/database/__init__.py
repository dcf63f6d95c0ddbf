"""The connection to PostgreSQL, statements over many rows, and migrations.

Knows no table by name.
"""
