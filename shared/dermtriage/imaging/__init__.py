"""Photographs: what is accepted, how it is decoded, its rendition, and advice on retaking it.

No storage, no database.
"""
