"""Measure a release on labelled photographs, and say how sure the figures are."""
