"""No participant is recorded without the name of the consent text."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = """
[session]
participant = "p07"
{consent}
[devices.band]
use = "devices.simulated:Wristband"
"""


def command(folder: Path, consent: str, *more: str) -> list[str]:
    (folder / "s.toml").write_text(CONFIG.format(consent=consent))
    out = str(folder / "out")
    return [
        *(sys.executable, "-m", "physio", "record", str(folder / "s.toml")),
        *("--seconds", "1", "--out", out, *more),
    ]


@pytest.mark.parametrize("consent", ["", 'consent = "  "'])
def test_a_missing_consent_text_is_named_where_nobody_can_be_asked(
    tmp_path: Path, consent: str
) -> None:
    done = subprocess.run(
        command(tmp_path, consent),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "physio: s.toml names no consent text: give its name and version with --consent"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_consent_text_is_asked_for(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    with subprocess.Popen(
        command(tmp_path, ""),
        stdin=slave,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stderr is not None
        os.read(child.stderr.fileno(), 1)  # the question
        os.write(master, b"  \n")
        time.sleep(0.1)
        os.write(master, b"form 3\n")
        child.communicate(timeout=120)
    for file in (master, slave):
        os.close(file)
    assert child.returncode == 0
    about = json.loads((tmp_path / "out" / "session.json").read_text())
    assert about["consent"] == "form 3"
