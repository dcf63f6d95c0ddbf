"""``python -m bench.peers FOLDER RELEASE``: measure every peer, in their own environment."""

import os
import sys

from bench.peers import environment

if __name__ == "__main__":
    python = environment.ensure()
    os.execv(python, [python, "-m", "bench.peers.measure", *sys.argv[1:]])
