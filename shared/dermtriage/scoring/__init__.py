"""Leases on pending images, assessments, and the workers that are live. Computes no score."""
