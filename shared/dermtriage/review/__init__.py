"""The clinicians' side: worklist, claims and decisions."""
