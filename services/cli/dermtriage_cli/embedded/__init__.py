"""The embedded stack: PostgreSQL, Redis and our services as child processes."""
