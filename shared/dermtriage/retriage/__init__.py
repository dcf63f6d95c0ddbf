"""Policy replay: a changed policy is applied to stored assessments, case by case.

Nothing is scored here, and no release is activated.
"""
