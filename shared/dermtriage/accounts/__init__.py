"""Clinics, clinicians, their keys and sessions, and the audit log.

Knows nothing of cases and photographs.
"""
