"""The image store: originals, renditions and heat maps in a folder or an object store.

No database: which images exist is known to the tables alone.
"""
