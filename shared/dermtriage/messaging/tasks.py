"""The names of Celery queues and tasks."""

# Queues
UPLOADS = "uploads"
BULK = "bulk"
UPKEEP = "upkeep"

# Tasks
SCORE = "dermtriage.score"
RESCORE = "dermtriage.rescore"
RECOVER = "dermtriage.recover"
AGE = "dermtriage.age"
CHECK_INVARIANTS = "dermtriage.check_invariants"
SWEEP = "dermtriage.sweep"
PLAN_NIGHT = "dermtriage.plan_night"
END_RUNS = "dermtriage.end_runs"
