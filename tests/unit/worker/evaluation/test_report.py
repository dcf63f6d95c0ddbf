"""The report has everything, needs nothing beside it, and says the same as its JSON."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.worker.evaluation.conftest import KnownFolds

from dermtriage.core.enums import SEVERE_CLASSES
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.evaluation.formats import between, percent, signed
from dermtriage_worker.evaluation.labelled import read_labelled
from dermtriage_worker.evaluation.measure import Measurement, measure
from dermtriage_worker.evaluation.report import Written, write_report

SECTIONS = {
    "figures",
    "triage",
    "curves",
    "classes",
    "subgroups",
    "shifts",
    "misses",
    "reading",
}


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(
    measurement: Measurement, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    folder = tmp_path_factory.mktemp("reports") / "new"
    return write_report(
        measurement, folder, images=drawn / "images", labels=Path("/home/me/<truth>.csv")
    )


@pytest.fixture(scope="module")
def page(written: Written) -> Page:
    return Page(written.page.read_text())


def test_every_section_is_there_and_linked(page: Page) -> None:
    assert {section["id"] for section in page.all("section")} == SECTIONS
    links = {str(link["href"]) for link in page.all("a")}
    assert {f"#{name}" for name in SECTIONS} <= links


def test_the_page_stands_alone(page: Page, written: Written) -> None:
    text = written.page.read_text()
    assert not page.all("script")
    assert not page.all("link")
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.all("img"))
    # Names of XML vocabularies are no requests.
    assert not re.findall(r'(?:src|href)="https?:|url\((?!#)|@import', text)
    assert "prefers-color-scheme: dark" in text


def test_tables_and_plots_speak_to_those_who_do_not_see(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) >= 7
    plots = page.all("svg")
    assert len(plots) == 5
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    assert all(image["alt"] for image in page.all("img"))
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    sections = [name for name in names if name and name.startswith("t-")]
    assert len(set(sections)) == len(sections)


def test_plots_take_the_colours_of_the_page(written: Written) -> None:
    text = written.page.read_text()
    plots = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--accent" in plots
    assert "#01020" not in plots


def test_what_stands_in_a_file_name_is_text(written: Written) -> None:
    text = written.page.read_text()
    assert "<truth>" not in text
    assert "&lt;truth&gt;.csv" in text
    assert "/home/me" not in text


def test_the_worst_misses_come_first(
    written: Written, page: Page, measurement: Measurement
) -> None:
    misses = json.loads(written.figures.read_text())["misses"]
    severe = sorted(
        said.p_severe
        for one, said in zip(measurement.labelled, measurement.predictions, strict=True)
        if one.diagnosis in SEVERE_CLASSES
    )
    assert [miss["p_severe"] for miss in misses] == pytest.approx(severe[:12])
    shown = [str(image["alt"]) for image in page.all("img")]
    assert [name.split()[1].rstrip(":") for name in shown] == [miss["image_id"] for miss in misses]


def test_json_and_page_say_the_same(written: Written, measurement: Measurement) -> None:
    data = json.loads(written.figures.read_text())
    assert data["release"] == measurement.manifest.name
    assert data["set"]["out_of_fold"] is True
    auc = measurement.evaluation.figures["auc"]
    assert data["evaluation"]["figures"]["auc"]["value"] == auc.value
    assert len(data["shifts"]["shifts"]) == 15
    text = written.page.read_text()
    assert f"{auc.value:.3f}" in text
    assert "on a sample of" in text


def test_a_set_without_severe_photographs_still_has_a_report(
    tiny: Ensemble, drawn: Path, tmp_path: Path
) -> None:
    labelled = read_labelled(drawn / "images", drawn / "truth.csv")
    benign = [one for one in labelled if one.diagnosis not in SEVERE_CLASSES]
    measurement = measure(
        tiny,
        benign,
        training_folds=KnownFolds({}),
        out_of_fold=False,
        with_shifts=False,
        sample=None,
        on_progress=lambda step, done, total: None,
    )
    written = write_report(measurement, tmp_path, images=drawn, labels=drawn / "truth.csv")
    page = Page(written.page.read_text())
    assert {section["id"] for section in page.all("section")} == SECTIONS - {"shifts", "misses"}
    assert json.loads(written.figures.read_text())["evaluation"]["figures"]["auc"]["value"] is None


def test_numbers_are_written_as_people_read_them() -> None:
    assert percent(0.98123) == "98.1\N{NO-BREAK SPACE}%"
    assert percent(float("nan")) == "\N{EN DASH}"
    assert between(0.5, 0.75) == "50.0\N{EN DASH}75.0"
    assert between(float("nan"), float("nan")) == ""
    assert (signed(-0.0001), signed(-0.031)) == ("+0.000", "-0.031")
