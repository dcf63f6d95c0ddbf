"""Upkeep: a timer and its duties (recovery, ageing, planning, invariant checks).

It runs in a process of its own, imports no torch and waits for no message.
"""
