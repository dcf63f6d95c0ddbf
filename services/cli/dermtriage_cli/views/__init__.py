"""Tables, progress and pages for people; each gets its data and reads no database."""
