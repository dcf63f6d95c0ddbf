"""The policy and the rules of triage: severities, lanes, due times, recall, explanation.

Pure: no I/O, no clock, no table.
"""
