"""Leases on pending images, their assessments, and the registry of workers. Computes no score."""
