"""Upkeep: ``python -m dermtriage_worker.upkeep``."""

import sys

from dermtriage_worker.upkeep.process import main

if __name__ == "__main__":
    sys.exit(main())
