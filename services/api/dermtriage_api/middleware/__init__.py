"""ASGI middleware: authentication and limits before a body is read, safe answers after all else."""
