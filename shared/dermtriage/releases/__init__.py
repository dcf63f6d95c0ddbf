"""Which release is active, how one is activated, and how two compare. Loads no weights."""
