"""Upkeep: beat and the tasks that keep the promises, in a process of its own.

It schedules what the domain does; it imports no torch.
"""
