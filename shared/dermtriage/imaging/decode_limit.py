"""How many photographs a process decodes at once."""

import os
import threading

DECODERS = threading.BoundedSemaphore(os.cpu_count() or 1)
"""Decoding a hostile file takes hundreds of megabytes: so many may be open at once a process."""
