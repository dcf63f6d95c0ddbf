"""The `dermtriage` command: commands and what only they need. No other package imports it."""
