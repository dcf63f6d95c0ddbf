"""Settings, errors, enumerations, logging, pagination: what every room may use.

Imports no other room.
"""
