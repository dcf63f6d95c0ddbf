"""Plots of an evaluation, as SVG that uses the colours of the page around it.

Colours are CSS variables with a fallback that can be read on white and on black, so that a plot
can also stand in a file of its own.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.evaluation.figures import Floats
from dermtriage_worker.evaluation.results import ReliabilityBin, ShiftFigures
from dermtriage_worker.evaluation.triaged import TriagedSet

# matplotlib does not know CSS variables: it draws with placeholder colours, which are replaced in
# its output.
_INK, _GRID, _ACCENT, _SEVERE = "#010203", "#010204", "#010205", "#010206"
_VARIABLES = {
    _INK: "var(--ink, #737a86)",
    _GRID: "var(--grid, #9aa1ac55)",
    _ACCENT: "var(--accent, #3f83d8)",
    _SEVERE: "var(--severe, #d8663f)",
}
_POINTS = 500
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dermtriage",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
}


class Plot:
    """A plot that becomes an SVG document.

    Attributes
    ----------
    axes
        To draw on.
    svg
        The finished plot, once the block of `_plot` has ended.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


def roc(triaged: TriagedSet, thresholds: Thresholds) -> str:
    """Plot the ROC curve of p_severe, with the operating points."""
    with _plot("ROC curve of the severe score with the two operating points.") as plot:
        axes = plot.axes
        fpr, tpr = _thinned(*roc_curve(triaged.positive, triaged.p_severe)[:2])
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.45, linestyle="--", linewidth=1)
        axes.plot(fpr, tpr, color=_ACCENT, linewidth=1.8)
        axes.fill_between(fpr, tpr, color=_ACCENT, alpha=0.08, linewidth=0)
        for threshold, label, offset in (
            (thresholds.upper, "upper threshold", (10, -9)),
            (thresholds.lower, "lower threshold", (8, -14)),
        ):
            flagged = triaged.p_severe >= threshold
            x, y = flagged[~triaged.positive].mean(), flagged[triaged.positive].mean()
            axes.plot([x], [y], "o", color=_SEVERE, markersize=6)
            axes.annotate(
                f"{label} ({threshold:.3f})", (x, y), xytext=offset, textcoords="offset points"
            )
        _unit_axes(axes, "1 - specificity", "sensitivity")
    return plot.svg


def precision_recall(triaged: TriagedSet) -> str:
    """Plot the precision-recall curve of p_severe, and the precision of chance."""
    with _plot("Precision-recall curve of the severe score.") as plot:
        axes = plot.axes
        curve = precision_recall_curve(triaged.positive, triaged.p_severe, drop_intermediate=True)
        precision, recall = _thinned(*curve[:2])
        share = triaged.positive.mean()
        axes.axhline(share, color=_INK, alpha=0.45, linestyle="--", linewidth=1)
        axes.annotate(
            f"chance ({100 * share:.1f} %)", (0, share), xytext=(4, 4), textcoords="offset points"
        )
        axes.step(recall, precision, where="post", color=_ACCENT, linewidth=1.8)
        axes.fill_between(recall, precision, step="post", color=_ACCENT, alpha=0.08, linewidth=0)
        _unit_axes(axes, "recall (sensitivity)", "precision (PPV in this set)")
    return plot.svg


def reliability(bins: Sequence[ReliabilityBin]) -> str:
    """Plot the reliability diagram: observed share of severe over predicted p_severe."""
    with _plot("Reliability diagram: observed share of severe over predicted p_severe.") as plot:
        axes = plot.axes
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.45, linestyle="--", linewidth=1)
        x = np.array([part.predicted for part in bins])
        y = np.array([part.observed for part in bins])
        reach = [y - [part.low for part in bins], [part.high for part in bins] - y]
        axes.errorbar(
            x, y, yerr=np.clip(reach, 0, None), fmt="o-", color=_ACCENT, markersize=4,
            linewidth=1.4, elinewidth=1, capsize=0,
        )  # fmt: skip
        _unit_axes(axes, "predicted p(severe)", "observed share of severe")
    return plot.svg


def scores(triaged: TriagedSet, thresholds: Thresholds) -> str:
    """Plot the histogram of p_severe of severe and benign photographs, with the thresholds."""
    with _plot("Histogram of p_severe for severe and benign photographs.") as plot:
        axes = plot.axes
        edges = np.linspace(0, 1, 41)
        for chosen, colour, label in (
            (~triaged.positive, _ACCENT, "benign"),
            (triaged.positive, _SEVERE, "severe"),
        ):
            count = max(1, int(chosen.sum()))
            axes.hist(
                triaged.p_severe[chosen], edges.tolist(), weights=np.full(chosen.sum(), 1 / count),
                color=colour, alpha=0.55, label=label,
            )  # fmt: skip
        for threshold in (thresholds.lower, thresholds.upper):
            axes.axvline(threshold, color=_INK, linewidth=1, linestyle=":")
        axes.set_yscale("log")
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.set(xlabel="p(severe); dotted: the thresholds", ylabel="share of each kind")
        axes.legend()
    return plot.svg


def shifts(rows: Sequence[ShiftFigures], *, acceptable_loss: float) -> str:
    """Plot the AUC under each shift with its interval, and the lowest that is acceptable."""
    title = "Malignancy AUC under each shift, with intervals."
    with _plot(title, width=7.2, height=0.8 + 0.27 * len(rows)) as plot:
        axes = plot.axes
        height = np.arange(len(rows))[::-1]
        x = np.array([row.auc.value for row in rows])
        reach = [x - [row.auc.low for row in rows], [row.auc.high for row in rows] - x]
        axes.axvline(x[0], color=_INK, alpha=0.45, linewidth=1, linestyle="--")
        axes.axvline(x[0] - acceptable_loss, color=_SEVERE, linewidth=1, linestyle=":")
        axes.errorbar(
            x, height, xerr=np.clip(reach, 0, None), fmt="o", color=_ACCENT, markersize=5,
            elinewidth=1.6, capsize=0,
        )  # fmt: skip
        axes.set_yticks(height, [row.description for row in rows])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(
            f"malignancy AUC; dashed: unaltered, dotted: {acceptable_loss:.2f} below", loc="left"
        )
    return plot.svg


@contextmanager
def _plot(description: str, *, width: float = 4.6, height: float = 3.7) -> Iterator[Plot]:
    with style.context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        plot = Plot(figure.add_subplot())
        yield plot
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    # The page sets the width; screen readers read the label.
    head = f'<svg role="img" aria-label="{escape(description)}"'
    svg = re.sub(r"<svg\b", head, svg, count=1)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    # The ids of groups would be duplicated by every other plot on the page.
    plot.svg = re.sub(r'<g id="[^"]*">', "<g>", svg)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep as many points of a curve as its plot has pixels."""
    kept = np.unique(np.linspace(0, len(x) - 1, _POINTS).astype(int))
    return x[kept], y[kept]


def _unit_axes(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=x_label, ylabel=y_label)
