"""What is an acceptable photograph, its rendition, and advice on retaking it.

No storage, no database.
"""
