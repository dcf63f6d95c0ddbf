"""The operators' page is complete: every setting with its default, and every metric."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dermtriage.core.settings import ROOT, Settings
from dermtriage_api.metrics import Metrics
from dermtriage_api.services import Services

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

ROWS = dict(re.findall(r"^\| `(DERMTRIAGE_\w+)` \| (.+?) \| .+ \|$", PAGE, re.MULTILINE))


def written(field: FieldInfo) -> str:
    """Return how the page writes a default."""
    match field.default:
        case "" | SecretStr():
            return "-"
        case Path() as path:
            return f"`{path.relative_to(ROOT)}`"
        case float() as number:
            return f"`{number:g}`"
        case value:
            return f"`{value}`"


def test_every_setting_is_on_the_page_with_its_default() -> None:
    fields = Settings.model_fields.items()
    assert {f"DERMTRIAGE_{name.upper()}": written(field) for name, field in fields} == ROWS


def test_the_page_names_no_other_setting() -> None:
    names = set(re.findall(r"DERMTRIAGE_\w+", PAGE))
    assert names <= {f"DERMTRIAGE_{name.upper()}" for name in Settings.model_fields}


@pytest.fixture
def metrics(settings: Settings) -> set[str]:
    services = Services.open(settings)
    try:
        metrics = Metrics()
        metrics.add_system_gauges(services)
        metrics.count_request("GET", "/healthz", 200, 0.1)
        families = text_string_to_metric_families(metrics.render().decode())
        return {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in families
            # Beside each counter and histogram stands the time since when it counts.
            if not family.name.endswith("_created")
        }
    finally:
        services.close()


def test_every_metric_is_on_the_page(metrics: set[str]) -> None:
    assert set(re.findall(r"^\| `(dermtriage_\w+)` \|", PAGE, re.MULTILINE)) == metrics


def test_alerts_use_metrics_that_exist(metrics: set[str]) -> None:
    assert set(re.findall(r"\bdermtriage_[a-z_]+[a-z]\b", PAGE)) - {"dermtriage_images"} <= metrics
