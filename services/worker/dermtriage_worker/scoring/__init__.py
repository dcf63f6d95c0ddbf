"""The scoring worker: the loops over uploads and rescore runs, batches, heat maps, heartbeat.

What a score means belongs to the domain, and how it is computed to `ensemble`.
"""
