"""A changed policy replayed over stored assessments. Nothing is scored."""
