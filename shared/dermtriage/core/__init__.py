"""Settings, errors, enumerations, logging, pagination, validation: the base of every other package.

Imports no other package of the domain, and does no I/O but logging.
"""
