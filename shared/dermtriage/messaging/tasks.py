"""The names of Celery queues and tasks."""

# Queues
UPLOADS = "uploads"
BULK = "bulk"

# Tasks
SCORE = "dermtriage.score"
RESCORE = "dermtriage.rescore"
