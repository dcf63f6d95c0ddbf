"""Scoring without a server or a database, with the worker's own code."""
