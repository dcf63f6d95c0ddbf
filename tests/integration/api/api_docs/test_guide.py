"""The commands of docs/api.md work."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.photographs import jpeg

GUIDE = Path(__file__).parents[4] / "docs" / "api.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_send_a_case_and_list_it(api, tmp_path: Path) -> None:
    (tmp_path / "lesion.jpg").write_bytes(jpeg())
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    send, poll = blocks[1:3]
    script = f"""
set -eu
uuidgen() {{ cat /proc/sys/kernel/random/uuid; }}
{send}
{poll.splitlines()[0]}
"""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "SERVER": api.url, "KEY": api.clinic_key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"clinic_reference":"REF-2031"' in done.stdout
    assert api.left_behind()["cases"] == 1
