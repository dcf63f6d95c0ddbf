"""The networks of an ensemble: architectures, and one member ready to score."""
