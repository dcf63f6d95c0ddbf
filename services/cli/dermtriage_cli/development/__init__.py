"""What `dermtriage dev` adds to the embedded stack: accounts and cases to work with."""
