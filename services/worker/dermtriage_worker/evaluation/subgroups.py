"""Figures of subgroups: by how the diagnosis was made, age, sex and site."""

from collections.abc import Callable, Sequence

import numpy as np

from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.figures import Bools
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.results import Subgroup
from dermtriage_worker.evaluation.triaged import TriagedSet
from dermtriage_worker.evaluation.weighted_statistics import auc, share

UNKNOWN = "unknown"


def age_band(age: float) -> str:
    """Return the band of an age in years.

    Melanoma is rare under 40, so a model that relies on age is worst there.
    """
    return "under 40" if age < 40 else "40 to 59" if age < 60 else "60 and over"


def measure_subgroups(
    labelled: Sequence[Labelled], triaged: TriagedSet, thresholds: Thresholds, bootstrap: Bootstrap
) -> list[Subgroup]:
    """Measure every value of every field; `unknown` has the photographs without the field.

    A field that no photograph has is left out.
    """
    fields: dict[str, Callable[[Labelled], str]] = {
        "diagnosis type": lambda one: one.diagnosis_type or UNKNOWN,
        "age": lambda one: (
            age_band(float(one.inputs["age_approx"])) if "age_approx" in one.inputs else UNKNOWN
        ),
        "sex": lambda one: str(one.inputs.get("sex", UNKNOWN)),
        "site": lambda one: str(one.inputs.get("anatom_site", UNKNOWN)),
    }
    rows = []
    for field, value_of in fields.items():
        values = np.array([value_of(one) for one in labelled])
        if set(values) == {UNKNOWN}:
            continue
        for value in sorted(set(values.tolist()), key=lambda name: (name == UNKNOWN, _rank(name))):
            among = values == value
            rows.append(_measure(field, value, among, triaged, thresholds, bootstrap))
    return rows


def _rank(value: str) -> tuple[int, str]:
    """Return the sort key of a value: ages in their order, all others by name."""
    return (0, "") if value == "under 40" else (1, value)


def _measure(
    field: str,
    value: str,
    among: Bools,
    triaged: TriagedSet,
    thresholds: Thresholds,
    bootstrap: Bootstrap,
) -> Subgroup:
    positives, negatives = among & triaged.positive, among & ~triaged.positive
    p_severe, lower, upper = triaged.p_severe, thresholds.lower, thresholds.upper
    return Subgroup(
        field=field,
        value=value,
        photographs=int(among.sum()),
        severe=int(positives.sum()),
        auc=bootstrap.estimate(auc(p_severe, triaged.positive, among)),
        sensitivity_lower=bootstrap.estimate(share(p_severe >= lower, positives)),
        specificity_lower=bootstrap.estimate(share(p_severe < lower, negatives)),
        sensitivity_upper=bootstrap.estimate(share(p_severe >= upper, positives)),
        specificity_upper=bootstrap.estimate(share(p_severe < upper, negatives)),
    )
