"""The triage state of a case: placement, events, ageing and the current decision.

What changes a case (an upload, a score, a clinician, a policy) lives in the rooms above.
"""
