"""The architectures of the ensemble, their registry, and one member ready to score.

No calibration and no combination of members: those are in `ensemble.calibration`.
"""
