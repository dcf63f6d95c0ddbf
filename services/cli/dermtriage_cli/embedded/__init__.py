"""A whole system on one machine: PostgreSQL, Redis and our services as child processes.

What the services do is not known here, only how they are started, watched and stopped.
"""
