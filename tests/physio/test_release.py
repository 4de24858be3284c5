"""A release: builds that repeat, metadata in step, recipes and workflows that hold."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from typer.main import get_command

from physio.cli import app

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
SYSTEMS = {
    "Linux": [f"manylinux_2_{n}_x86_64" for n in (35, 34, 28, 27, 24, 17, 12)],
    "Windows": ["win_amd64"],
    "macOS": ["macosx_14_0_arm64"],
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pins(lines: list[str]) -> dict[str, str]:
    """Return the lowest version of each package, by name in lower case."""
    found = (re.match(r"([\w-]+) ?>=([\d.]+)", line) for line in lines)
    return {m[1].lower().replace("_", "-"): m[2] for m in found if m}


def workflow() -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_version_is_the_same_everywhere() -> None:
    number, date = PROJECT["version"], str(CITATION["date-released"])
    assert CITATION["version"] == number
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"\n## {number} ({date})\n" in changes
    cite = (ROOT / "docs" / "cite.md").read_text("utf-8")
    assert f"(version {number})" in cite
    assert f"version = {{{number}}}" in cite
    recipe = yaml.safe_load((ROOT / "conda" / "meta.yaml").read_text("utf-8"))
    assert recipe["package"]["version"] == number
    assert version("physio-affect") == number


def test_the_recipe_of_conda_needs_the_packages_of_the_core() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "meta.yaml").read_text("utf-8"))
    run = [line.replace("-base ", " ") for line in recipe["requirements"]["run"]]
    needed = pins(PROJECT["dependencies"])
    by_pip = {"brainflow", "pylsl"}
    assert pins(run) == {
        "python": PROJECT["requires-python"].removeprefix(">="),
        **{k: v for k, v in needed.items() if k not in by_pip},
    }
    (script,) = recipe["build"]["entry_points"]
    assert script == f"physio = {PROJECT['scripts']['physio']}"


def test_the_workflow_is_pinned_and_may_only_read() -> None:
    jobs = workflow()
    assert jobs["permissions"] == {"contents": "read"}
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert "secrets." not in text
    for job in jobs["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120
        for use in (step["uses"] for step in job["steps"] if "uses" in step):
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", use), use
    matrix = jobs["jobs"]["core"]["strategy"]["matrix"]
    assert matrix["python"] == list(PYTHONS)
    systems = [name.partition("-")[0] for name in matrix["os"]]
    assert systems == ["ubuntu", "windows", "macos"]


def test_the_commands_of_the_workflow_exist() -> None:
    group: Any = get_command(app)
    runs = [
        s["run"] for j in workflow()["jobs"].values() for s in j["steps"] if "run" in s
    ]
    assert "bash .ci/run" in runs
    assert (ROOT / ".ci" / "run").is_file()
    for words in map(shlex.split, runs):
        if words[0] == "physio":
            with group.make_context("physio", words[1:]) as context:
                rest = [*context._protected_args, *context.args]
                name, command, rest = group.resolve_command(context, rest)
                command.make_context(name, rest, parent=context)
        files = [w for w in words if w.startswith("tests/")]
        assert [f for f in files if not (ROOT / f).is_file()] == []
    assert sum("pytest" in run and "tests/" in run for run in runs) == 1


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=str
)
def test_forms_of_issues_are_valid(form: Path) -> None:
    loaded = yaml.safe_load(form.read_text("utf-8"))
    if form.stem == "config":
        assert loaded == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(loaded)
    fields = [part for part in loaded["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in fields}) == len(fields)
    assert all(part["attributes"]["label"] for part in fields)


def test_the_paper_cites_what_its_list_has_and_quotes_published_figures() -> None:
    paper = (ROOT / "paper.md").read_text("utf-8")
    cited = set(re.findall(r"@(\w+)", paper))
    listed = set(re.findall(r"@\w+\{(\w+),", (ROOT / "paper.bib").read_text("utf-8")))
    assert cited == listed
    head = yaml.safe_load(paper.split("---")[1])
    assert [a["name"] for a in head["authors"]] == [
        a["name"] for a in CITATION["authors"]
    ]
    for part in ("Summary", "Statement of need", "State of the field", "References"):
        assert f"\n# {part}\n" in paper
    card = (ROOT / "physio/assets/weights/wrist/CARD.md").read_text("utf-8")
    speed = (ROOT / "docs" / "latency.md").read_text("utf-8")
    text = " ".join(paper.split("# Figures and limits")[1].split())
    for mean, low, high in re.findall(
        r"(\d\.\d\d) \((?:95 % interval )?(\d\.\d\d) to (\d\.\d\d)\)", text
    ):
        assert f"{mean} ({low} to {high})" in card
    assert "p50 2.5 ms, p99 5.3 ms" in speed
    assert "2.5 ms of computation at the median and 5.3 ms" in text


def builds(folder: Path, epoch: int) -> dict[str, str]:
    """Return the SHA-256 of wheel and source distribution, by file name."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=folder.parent / "source",
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    files = sorted(folder.iterdir())
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_two_builds_of_one_source_are_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    source = tmp_path / "source"
    for name in ("physio", "devices", "configs"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    first = builds(tmp_path / "first", 1_700_000_000)
    for path in source.rglob("*"):  # a later checkout, by somebody else
        os.utime(path, (1_750_000_000, 1_750_000_000))
        path.chmod(0o775 if path.is_dir() else 0o664)
    second = builds(tmp_path / "second", 1_700_000_000)
    number = PROJECT["version"]
    assert list(first) == [
        f"physio_affect-{number}-py3-none-any.whl",
        f"physio_affect-{number}.tar.gz",
    ]
    assert second == first
    with ZipFile(tmp_path / "first" / next(iter(first))) as wheel:
        assert {item.date_time[:3] for item in wheel.infolist()} == {(2023, 11, 14)}


@pytest.mark.long
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_package_of_the_core_has_a_wheel(
    system: str, python: str, tmp_path: Path
) -> None:
    """Resolve the core for another system; pip takes this system's markers."""
    platforms = [w for name in SYSTEMS[system] for w in ("--platform", name)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"),
            *("--only-binary=:all:", "--python-version", python, *platforms),
            *("--target", tmp_path, "--report", tmp_path / "report.json"),
            *PROJECT["dependencies"],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lost = ("Could not fetch", "ConnectionError", "NewConnectionError", "Max retries")
    if any(word in done.stderr for word in lost):
        pytest.skip("the package index is not reachable")
    assert done.returncode == 0, done.stderr[-2000:]
    names = (tmp_path / "report.json").read_text("utf-8")
    assert all(f"{name}-" in names.lower() for name in ("pylsl", "brainflow", "numba"))
