"""The demonstration and its drawn samples."""
