"""Train members, calibrate them, and build a release of them."""
