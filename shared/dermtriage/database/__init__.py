"""The connection to PostgreSQL, bulk statements and migrations. Knows no table by name."""
