"""The end of rescore runs, and the reports that are kept of them."""

from dermtriage.rescoring.reports.ending import (
    cancel,
    fail,
    finish_done,
    without_report,
    write_report,
)
from dermtriage.rescoring.reports.report import BINS, STANDSTILL, RunReport

__all__ = [
    "BINS",
    "STANDSTILL",
    "RunReport",
    "cancel",
    "fail",
    "finish_done",
    "without_report",
    "write_report",
]
