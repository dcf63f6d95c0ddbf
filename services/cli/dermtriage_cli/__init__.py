"""The `dermtriage` command, the embedded servers, and the clinic's sender."""
