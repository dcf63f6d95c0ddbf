"""Reports of rescore runs that have ended: what they hold, and how they are written.

Nothing here changes a run, a case or an image.
"""
