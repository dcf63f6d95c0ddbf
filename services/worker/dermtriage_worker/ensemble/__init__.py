"""Score photographs with a release: no database, no queue, usable alone.

Light to import: what needs torch is imported from its own module.
"""
