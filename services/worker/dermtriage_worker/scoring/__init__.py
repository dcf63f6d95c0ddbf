"""The scoring worker: Celery application, the loops over uploads and runs, batches, heat maps."""
