"""The workers: scoring and upkeep, and the ensemble with its training and evaluation."""
