"""Format figures for pages and documents."""

import math

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from dermtriage_worker.evaluation.results import Estimate, Spread

CLASS_NAMES = {
    "akiec": "actinic keratosis, intraepithelial carcinoma",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "naevus",
    "vasc": "vascular lesion",
}
DASH = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"


def template(name: str) -> Template:
    """Return a template of this package; the functions below are its filters.

    Values are escaped in HTML templates only.
    """
    environment = Environment(
        loader=PackageLoader("dermtriage_worker.evaluation"),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "figure": figure, "interval": interval}
    environment.filters["signed"] = signed
    environment.globals["between"] = between
    return environment.get_template(name)


def percent(value: float, digits: int = 1) -> str:
    """Return a share as a percentage; a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{100 * value:.{digits}f}{SPACE}%"


def figure(value: float) -> str:
    """Return a figure between 0 and 1 with three digits; a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{value:.3f}"


def interval(ends: Estimate | Spread, *, share: bool = False, digits: int = 1) -> str:
    """Return an interval or a range; nothing where it is undefined."""
    return between(ends.low, ends.high, share=share, digits=digits)


def between(low: float, high: float, *, share: bool = True, digits: int = 1) -> str:
    """Return the two ends, as percentages for a share; nothing where they are undefined."""
    if math.isnan(low):
        return ""
    if share:
        return f"{100 * low:.{digits}f}{DASH}{100 * high:.{digits}f}"
    return f"{low:.3f}{DASH}{high:.3f}"


def signed(value: float) -> str:
    """Return a difference with its sign; never minus zero."""
    return f"{round(value, 3) + 0:+.3f}"
