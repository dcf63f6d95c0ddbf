"""How networks are laid out to be fast on a CPU."""
