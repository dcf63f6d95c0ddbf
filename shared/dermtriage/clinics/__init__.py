"""What a clinic reads of its own cases, and what it may do with them after intake.

Nothing here shows a clinic another clinic's case, a score or a severity.
"""
