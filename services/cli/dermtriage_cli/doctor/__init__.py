"""Checks of everything that the system needs; no commands."""
