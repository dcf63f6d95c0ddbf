"""What the `rescore` commands need beside the domain: the scope option, and waking workers."""
