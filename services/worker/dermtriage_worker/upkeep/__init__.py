"""Upkeep: Celery beat and the periodic tasks (recovery, ageing, planning, invariant checks).

It runs in a process of its own and does not import torch.
"""
