"""Clinics, clinicians, their keys and sessions, and the audit trail."""
