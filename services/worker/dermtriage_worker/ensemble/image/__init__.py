"""From a photograph to what networks see, and its quality figures."""
