"""The end of rescore runs, and the reports that are kept of them."""

from dermtriage.rescore_reports.ending import (
    cancel,
    fail,
    finish_done,
    without_report,
    write_report,
)
from dermtriage.rescore_reports.report import BINS, STANDSTILL, RunReport

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
