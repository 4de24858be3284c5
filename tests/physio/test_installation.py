"""Packages that are missing or in the way, told with the remedy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from physio.cli import doctor_checks
from physio.core import installation

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *at: None if name == "torch" else found(name, *at)
"""


def python(code: str, *path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with folders before all others."""
    places = os.pathsep.join(map(str, (*path, ROOT)))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": places, "MPLBACKEND": "Agg"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def command(*args: object) -> str:
    """Return a program that runs ``physio`` with arguments."""
    words = ["physio", *map(str, args)]
    return f"import sys; sys.argv = {words}\nfrom physio.cli import main; main()"


def test_a_missing_package_of_an_extra_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["numpy>=2", "edfio>=0.4; extra == 'bids'", "xgboost-cpu; extra == 'train'"]
    monkeypatch.setattr(installation, "requires", lambda _name: lines)
    hint = installation.install_hint
    assert hint("edfio") == ": pip install 'physio-affect[bids]'"
    assert hint("xgboost_cpu") == ": pip install 'physio-affect[train]'"
    assert hint("numpy") == hint("no_such") == ""


def test_our_package_of_devices_is_the_one_imported() -> None:
    assert installation.other_devices() is None
    assert doctor_checks.namesakes().ok


def test_another_package_of_devices_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    other = tmp_path / "devices" / "__init__.py"
    other.write_text("")
    done = python(command("doctor"), tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"the package 'devices' that Python imports is {other}" in done.stderr
    load = "from physio.config import load_module; load_module('devices.lsl', 'x.toml')"
    done = python(load, tmp_path, cwd=tmp_path)
    assert "x.toml: there is no module 'devices.lsl': the package" in done.stderr


def test_a_distribution_that_overwrites_devices_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = {"devices": ["physio-affect", "home-devices"]}
    monkeypatch.setattr(doctor_checks, "packages_distributions", lambda: both)
    finding = doctor_checks.namesakes()
    assert not finding.ok
    assert finding.text.endswith("installs a package 'devices': home-devices")


def test_a_session_without_torch_runs_and_says_what_it_lacks(tmp_path: Path) -> None:
    demo = command("demo", "--seconds", 5, "--fast", "--out", tmp_path / "d")
    done = python(WITHOUT_TORCH + demo, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No estimate from EEG without torch" in done.stdout
    recording = tmp_path / "d" / "recording.xdf"
    again = command("replay", recording, "--fast", "--out", tmp_path / "r")
    done = python(WITHOUT_TORCH + again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_weights_that_need_torch_are_left_out_by_name(tmp_path: Path) -> None:
    file = ROOT / "configs" / "simulated.toml"
    live = command("live", file, "--seconds", 3, "--out", tmp_path / "d")
    done = python(WITHOUT_TORCH + live, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the weights 'eeg-demo'" in done.stdout + done.stderr
    assert "needs 'torch', which is not installed" in done.stdout + done.stderr
