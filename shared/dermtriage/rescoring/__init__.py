"""Rescore runs: scope, planning, chunks, recording and reports."""
