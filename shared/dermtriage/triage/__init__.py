"""The policy and its rules: severities, lanes, due times, explanations. Pure: no I/O, no clock."""
