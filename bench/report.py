"""The measurements as tables: for the terminal, and as bench/RESULTS.md."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import forward

RESULTS = Path(__file__).parent / "RESULTS.md"

Results = dict[str, Any]


class Row(NamedTuple):
    """One measurement against another."""

    measured: str
    against: str
    ratio: str
    goal: str


SAME_SESSION = timedelta(hours=1)
"""Parts measured within this time count as measurements of the same code."""

SUMMARY = ("rescoring_over_forward", "uploads_over_forward", "non_forward_cpu_ms_per_image")
"""Figures of the shipped release that come first in results.json."""


def with_summary(results: Results) -> Results:
    """Put the most important figures first."""
    head = {}
    if "shipped" in results:
        head |= {name: results["shipped"][name] for name in SUMMARY}
        head["rescored_images_per_second"] = results["shipped"]["rescored_per_second"]
        head["uploads_images_per_second"] = results["shipped"]["uploads_per_second"]
        head["machine"] = results["shipped"]["measured"]["machine"]
    if "acceptance" in results:
        head["accept_over_bare"] = results["acceptance"]["ratio"]
    return head | {name: one for name, one in results.items() if name not in head}


def show(results: Results) -> None:
    """Print the tables."""
    console = Console()
    for title, rows in _tables(results):
        table = Table(*Row._fields, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def write(results: Results) -> None:
    """Write bench/RESULTS.md."""
    lines = [
        "# Results",
        "",
        "Written by `make bench`; all figures are in [results.json](results.json). Compare the"
        " ratios: both sides of each were measured one after the other on the same machine."
        " The ratios of the whole system are medians of rounds; each round has its own limit.",
        "",
    ]
    for title, rows in _tables(results):
        lines += [f"## {title}", "", f"| {' | '.join(Row._fields)} |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    lines += ["## Circumstances", "", *_circumstances(results), ""]
    RESULTS.write_text("\n".join(lines))


def _tables(results: Results) -> Iterator[tuple[str, list[Row]]]:
    for part, goals in (("shipped", ("0.90", "0.78")), ("reference", ("0.75", "0.60"))):
        if part in results:
            name = results[part]["release"]
            yield f"The whole system, release {name}", list(_served(results[part], *goals))
    others = [row for part, rows in _PARTS.items() if part in results for row in rows(results)]
    if others:
        yield "Its parts", others
    for name, found in results.get("peers", {}).items():
        if name != "measured":
            yield f"Peers, release {name}", list(_peers(results, name, found))


def _served(one: Results, rescoring: str, uploads: str) -> Iterator[Row]:
    system, cpu = one["system"], one["non_forward_cpu_ms_per_image"]
    ensemble = median(
        each["limit"]["cpu_seconds_per_image"] for each in system["uploads"] + system["rescoring"]
    )
    yield Row(
        f"rescoring: {one['rescored_per_second']:.1f} images/s",
        _limit(system["rescoring"]),
        f"{one['rescoring_over_forward']:.3f}",
        f"≥ {rescoring}",
    )
    yield Row(
        f"uploads, first POST to last assessment: {one['uploads_per_second']:.1f} images/s",
        _limit(system["uploads"]),
        f"{one['uploads_over_forward']:.3f}",
        f"≥ {uploads}",
    )
    yield Row(
        "the same uploads",
        f"one process that decodes and scores in turn: {one['floor_per_second']:.1f} images/s",
        f"{one['uploads_over_floor']:.3f}",
        "≥ 0.80",
    )
    yield Row(
        f"CPU besides the ensemble, per upload: {cpu['uploads']:.1f} ms",
        f"the ensemble: {1000 * ensemble:.1f} ms",
        f"{cpu['uploads'] / ensemble / 1000:.2f}",
        "",
    )
    yield Row(
        f"CPU besides the ensemble, per rescored photograph: {cpu['rescoring']:.1f} ms",
        f"the ensemble: {1000 * ensemble:.1f} ms",
        f"{cpu['rescoring'] / ensemble / 1000:.2f}",
        "",
    )
    yield Row(
        f"idle, 202 to assessment: {_ms(system['idle_latency'])}",
        f"scoring one photograph alone: {_ms(one['alone_seconds'])}",
        f"{one['idle_latency_over_scoring']:.2f}",
        "≤ 2.5",
    )
    for which, seconds, ratio in zip(
        ("median", "95th percentile"),
        system["latency_in_run"],
        one["latency_in_run_over_bound"],
        strict=True,
    ):
        yield Row(
            f"202 to assessment during a run, {which}: {_ms(seconds)}",
            "idle and two batches",
            f"{ratio:.2f}",
            "≤ 1",
        )


def _limit(rounds: Sequence[Results]) -> str:
    layout = forward.Layout(**rounds[0]["limit"]["layout"])
    rate = median(each["limit"]["images_per_second"] for each in rounds)
    return f"the ensemble alone before and after, best layout ({layout}): {rate:.1f} images/s"


def _eager(results: Results) -> Iterator[Row]:
    one = results["eager"]
    yield Row(
        f"the ensemble as served, one core: {one['images_per_second']:.1f} images/s",
        "the same members one after another in eager float32:"
        f" {one['eager_images_per_second']:.1f} images/s",
        f"{one['images_per_second'] / one['eager_images_per_second']:.2f}",
        "≥ 1.7",
    )
    for name, rate in one["without"].items():
        yield Row(
            "the ensemble as served, one core",
            f"without {name}: {rate:.1f} images/s",
            f"{one['images_per_second'] / rate:.2f}",
            "",
        )
    yield Row(
        f"largest difference of a probability to eager float32, {one['photographs']} photographs:"
        f" {one['largest_difference']:.4f}",
        f"severities changed, except near thresholds: {one['severities_changed']}",
        "",
        "≤ 0.01, 0",
    )


def _acceptance(results: Results) -> Iterator[Row]:
    ours, bare = results["acceptance"]["ours"], results["acceptance"]["bare"]
    yield Row(
        f"`POST /v1/cases`: {ours['requests_per_second']:.0f} per second,"
        f" 99 % within {_ms(ours['p99_seconds'])}",
        f"a bare route that writes the bytes: {bare['requests_per_second']:.0f} per second,"
        f" 99 % within {_ms(bare['p99_seconds'])}",
        f"{results['acceptance']['ratio']:.2f}",
        "≥ 0.65",
    )


def _phone(results: Results) -> Iterator[Row]:
    one = results["phone"]
    yield Row(
        f"rendition of a photograph of 12 megapixels: {_ms(one['ours_seconds'])}",
        f"full decoding and resizing: {_ms(one['plain_seconds'])}",
        f"{one['speedup']:.2f}",
        "≥ 2",
    )
    yield Row(
        f"p_severe of the two, {one['photographs']} photographs:"
        f" mean difference {one['mean_difference']:.4f}",
        f"99th percentile {one['p99_difference']:.4f}",
        "",
        "≤ 0.01, ≤ 0.05",
    )


def _worklist(results: Results) -> Iterator[Row]:
    one = results["worklist"]
    for what in ("page", "claim"):
        small, large = one[f"{what}_small"], one[f"{what}_large"]
        measured = f"{what} of the worklist at 1,000,000 cases: {_ms(large)}"
        yield Row(measured, f"at 10,000: {_ms(small)}", f"{large / small:.2f}", "≤ 1.5")


def _memory(results: Results) -> Iterator[Row]:
    one = results["memory"]
    small, large = one["small"], one["large"]
    for who in ("worker", "planner"):
        yield Row(
            f"peak memory of the {who}, {large['images']:,} images: {large[who]:.0f} MiB",
            f"{small['images']:,} images: {small[who]:.0f} MiB",
            f"{large[who] / small[who]:.2f}",
            "flat",
        )


def _retriage(results: Results) -> Iterator[Row]:
    one = results["retriage"]
    yield Row(
        f"another policy over {one['cases']:,} cases, of which {one['changed']:,} change:"
        f" {one['seconds']:.0f} s",
        f"the same as a dry run: {one['dry_run_seconds']:.0f} s",
        f"{one['seconds'] / one['dry_run_seconds']:.2f}",
        "under a minute",
    )


def _distance(results: Results) -> Iterator[Row]:
    one = results["distance"]
    for what in ("uploads", "rescoring"):
        near, far = one["folder"][what], one["object_store"][what]
        yield Row(
            f"{what} with an object store at a round trip of {_ms(one['delay_seconds'])}:"
            f" {far:.1f} images/s",
            f"with a folder: {near:.1f} images/s",
            f"{far / near:.2f}",
            "",
        )


_PARTS = {
    "eager": _eager,
    "acceptance": _acceptance,
    "phone": _phone,
    "worklist": _worklist,
    "memory": _memory,
    "retriage": _retriage,
    "distance": _distance,
}


def _peers(results: Results, name: str, found: Results) -> Iterator[Row]:
    ours = next(
        (
            results[part]
            for part in ("shipped", "reference")
            if results.get(part, {}).get("release") == name
        ),
        None,
    )
    if ours is None:
        return
    # Shares of different ensembles cannot be compared: ours may have changed since.
    at, ours_at = (
        datetime.fromisoformat(one["measured"]["at"]) for one in (results["peers"], ours)
    )
    older = ours_at - at > SAME_SESSION
    for peer, one in found.items():
        bulk = peer == "ray_data"
        share = ours["rescoring_over_forward" if bulk else "uploads_over_forward"]
        its_share = one["images_per_second"] / one["limit"]["images_per_second"]
        yield Row(
            f"{'rescoring' if bulk else 'uploads'}, end to end: {share:.3f} of the forward limit",
            f"{peer} {one['version']}, {one['layout']}: {one['images_per_second']:.1f} images/s,"
            f" {its_share:.3f} of it, with the same durable work",
            "older than ours: measure the peers again" if older else f"{share / its_share:.2f}",
            "above 1",
        )


def _circumstances(results: Results) -> Iterator[str]:
    yield "| part | at | release | machine | versions |"
    yield "|---|---|---|---|---|"
    for part, one in results.items():
        if isinstance(one, dict) and "measured" in one:
            seen = one["measured"]
            versions = ", ".join(
                f"{name} {seen[name]}" for name in ("python", "torch", "celery", "sqlalchemy")
            )
            yield f"| {part} | {seen['at']} | {seen['release']} | {seen['machine']} | {versions} |"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
