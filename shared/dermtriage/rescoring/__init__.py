"""Rescore runs: scope, planning, chunks with their leases, recording, and reports.

What workers do with a chunk's images is not here, and neither is the replay of a changed policy.
"""
