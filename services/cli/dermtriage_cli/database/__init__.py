"""The database that a command works on: sessions, and the upgrade to the newest schema."""
