"""Upkeep: beat and the tasks that keep the promises. No torch."""
