"""`dermtriage submit`, against a small HTTP server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dermtriage_cli.main import app

run = CliRunner().invoke


class Intake(HTTPServer):
    """Accepts cases, but refuses the second one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), IntakeHandler)
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class IntakeHandler(BaseHTTPRequestHandler):
    """One request to `Intake`."""

    server: Intake

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Authorization"])
        number = len(self.server.keys)
        if number == 2:
            self._respond(422, {"detail": "It is blurred.", "code": "blurred"})
            return
        receipt = {
            "case_id": f"case-{number}",
            "received_at": "2026-03-01T08:15:30Z",
            "priority": "routine",
            "images": [{}],
        }
        self._respond(202, receipt)

    def log_message(self, *_: object) -> None:
        """Keep standard error for the command under test."""

    def _respond(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_receipts_are_printed_and_failures_listed(photographs: Path, intake: Intake) -> None:
    command = ["submit", str(photographs), "--json", "--concurrency", "1", "--server", intake.url]
    result = run(app, command, env={"DERMTRIAGE_API_KEY": "dtc_a_b"})
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    assert [receipt["case_id"] for receipt in printed["receipts"]] == ["case-1", "case-3"]
    assert [failure["code"] for failure in printed["failures"]] == ["blurred"]
    assert "It is blurred." in result.stderr
    assert "1 of 3 cases" in result.stderr
    assert set(intake.keys) == {"Bearer dtc_a_b"}


def test_the_table_is_checked_before_anything_is_sent(photographs: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,age_approx\nsample-0001,old\nsample-0002,45\nsample-0003,45\n")
    result = run(
        app,
        ["submit", str(photographs), "--metadata", str(table), "--api-key", "dtc_a_b"],
    )
    assert result.exit_code == 1
    assert "line 2: age_approx" in result.stderr


def test_a_file_that_cannot_be_sent_is_named(photographs: Path, intake: Intake) -> None:
    (photographs / "sample-0002.jpg").rename(photographs / "sample-0002.HEIC")
    (photographs / "sample-0002.HEIC").write_bytes(b"ftypheic")
    (photographs / "notes.txt").touch()
    table = photographs / "table.csv"
    table.write_text("image\nsample-0001\nsample-0002\nsample-0003\n")
    command = ["submit", str(photographs), "--metadata", str(table), "--server", intake.url]
    # One at a time: the server refuses the second.
    (photographs / "sample-0003.jpg").unlink()
    result = run(app, command, env={"DERMTRIAGE_API_KEY": "dtc_a_b"})
    assert len(intake.keys) == 1
    assert result.exit_code == 1
    printed = " ".join(result.stderr.split())
    assert f"Left out: {photographs}/notes.txt" in printed
    assert f"{photographs}/sample-0002.HEIC is in the table and was not sent." in printed
