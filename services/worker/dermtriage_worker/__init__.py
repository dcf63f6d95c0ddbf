"""The worker: Celery tasks, the scoring loop, upkeep, and the ensemble."""
