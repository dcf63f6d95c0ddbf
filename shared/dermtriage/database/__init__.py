"""The connection to PostgreSQL, conditions over many values, and migrations.

Knows no table by name.
"""
