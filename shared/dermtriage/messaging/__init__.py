"""Celery and Redis: queue and task names, the application, and sending.

No task is defined here, and no table is read or written.
"""
