"""Releases as folders on this machine, compared with the rows of the database."""
