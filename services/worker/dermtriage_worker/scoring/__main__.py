"""The scoring worker: ``python -m dermtriage_worker.scoring``."""

import sys

from dermtriage_worker.scoring.celery_app import main

if __name__ == "__main__":
    sys.exit(main())
