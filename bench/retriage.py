"""A changed policy over 100,000 cases: ``dermtriage retriage`` as an operator runs it.

Nothing is scored. A lowered threshold makes half of the low cases indeterminate, far more than a
change of policy would in practice. The time includes the start of the command.

``python -m bench.retriage [CASES]`` prints the figures as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import archive, scale_database
from dermtriage.core.enums import Severity
from dermtriage.releases.queries import active_policy

CASES = 100_000

_ASSESSMENTS = text("""
INSERT INTO assessments (release_id, image_id, p_severe, probabilities, disagreement, members,
                         quality, inputs, device)
SELECT (SELECT id FROM releases WHERE mode = 'active'), id,
       :lower * (CASE WHEN row_number() OVER () % 2 = 0 THEN 0.25 ELSE 0.75 END),
       array_fill(0.1::real, ARRAY[7]), 0, '{}', '{}', '{}', 'cpu'
FROM images
""")

_TRIAGED = text("""
UPDATE images SET release_id = (SELECT id FROM releases WHERE mode = 'active')
""")


@dataclass(frozen=True)
class Measured:
    """Seconds that the command took as a dry run and for real, and how many cases changed."""

    cases: int
    dry_run_seconds: float
    seconds: float
    changed: int


def measure(
    folder: Path, cases: int = CASES, on_step: Callable[[str], None] = lambda _: None
) -> Measured:
    """Fill a database below a folder with cases, and change its policy."""
    with scale_database.database(folder) as engine:
        on_step(f"Inserting {cases:,} cases")
        with Session(engine) as session, session.begin():
            session.execute(text("SET LOCAL statement_timeout = 0"))
            archive.fill(session, cases, severity=Severity.LOW, lane=3)
            _, policy = active_policy(session)
            session.execute(_ASSESSMENTS, {"lower": policy.lower})
            session.execute(_TRIAGED)
        changes = folder / "policy.json"
        changes.write_text(json.dumps({"lower": policy.lower / 2}))
        on_step("Applying the policy as a dry run, then for real")
        url = engine.url.render_as_string(hide_password=False)
        dry_seconds, _ = _retriage(url, changes, "--dry-run")
        seconds, result = _retriage(url, changes)
    if result["changed"] != cases // 2:
        raise RuntimeError(f"{result['changed']} of {cases} cases changed, not half of them")
    return Measured(cases, dry_seconds, seconds, result["changed"])


def _retriage(url: str, changes: Path, *options: str) -> tuple[float, dict[str, int]]:
    command = (sys.executable, "-c", "from dermtriage_cli.main import app; app()", "retriage")
    start = time.perf_counter()
    answer = subprocess.run(
        [*command, "--policy", str(changes), "--json", *options],
        env=os.environ | {"DERMTRIAGE_DATABASE_URL": url},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start, json.loads(answer.stdout)


def main() -> None:
    cases = int(sys.argv[1]) if sys.argv[1:] else CASES
    with TemporaryDirectory(prefix="dermtriage-bench-") as folder:
        print(json.dumps(asdict(measure(Path(folder), cases))))


if __name__ == "__main__":
    main()
