"""A rescore run for people: progress, tables, page."""
