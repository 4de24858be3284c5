"""The wheel: its contents, and the library outside a checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the checkout."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("--wheel-dir", folder, ROOT),
        ],
        check=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Return a folder with the unpacked wheel."""
    target = wheel.parent / "target"
    with ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def physio(installed: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """Run the command of the unpacked wheel outside the checkout."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "physio.cli", *map(str, args)],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed), "MPLBACKEND": "Agg"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_it_holds_the_library_and_configs_and_no_research(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    info = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names} == {"physio", "devices", *info}
    configs = {p.name for p in (ROOT / "configs").glob("*.toml")}
    shipped = {n.split("/")[2] for n in names if n.startswith("physio/configs/")}
    assert shipped == configs
    assert "dyad.toml" in shipped
    assert "physio/assets/chains.toml" in names
    assert not [n for n in names if n.endswith((".nbi", ".nbc", ".pyc"))]


def test_shipped_configs_are_found_by_name(installed: Path) -> None:
    done = physio(installed, "check", "no-such-config", "--seconds", 5)
    assert done.returncode == 2
    done = physio(installed, "study", "init", "films", "--plan", "dyad")
    assert "dyad.toml: a study file" in done.stderr


def test_benchmarks_and_experiments_need_a_checkout(installed: Path) -> None:
    done = physio(installed, "bench", "dsp")
    assert done.returncode == 2
    assert done.stderr == (
        "physio: physio bench: 'benchmarks' is part of the source repository and not "
        "of the installed package: clone the repository and run `pip install -e .` in "
        "it\n"
    )
    recipe = installed.parent / "recipe.toml"
    use = '"experiments.weights.wrist:TrainWrist"'
    recipe.write_text(f"[training]\nuse = {use}\n")
    done = physio(installed, "train", recipe)
    assert done.returncode == 2
    assert "'experiments' is part of the source repository" in done.stderr


@pytest.mark.long
def test_the_demo_runs_outside_the_checkout(installed: Path) -> None:
    out = installed.parent / "demo"
    done = physio(installed, "demo", "--seconds", 5, "--fast", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "recording.xdf").is_file()


@pytest.mark.long
def test_the_core_alone_runs_replays_and_reports(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, wheel], capture_output=True, text=True, check=False)
    if done.returncode:
        lost = ("Max retries", "NewConnectionError", "Could not fetch")
        assert any(word in done.stderr for word in lost), done.stderr[-2000:]
        pytest.skip("the package index is not reachable")
    for missing in ("torch", "panel", "neurokit2", "onnxruntime"):
        absent = subprocess.run(
            [python, "-c", f"import {missing}"], check=False, stderr=subprocess.DEVNULL
        )
        assert absent.returncode == 1, missing
    for words in (
        ("demo", "--seconds", "10", "--fast", "--out", "d"),
        ("replay", "d/recording.xdf", "--fast", "--out", "r"),
        ("report", "d"),
        ("doctor",),
    ):
        done = subprocess.run(
            [python, "-m", "physio", *words],
            cwd=tmp_path,
            env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
