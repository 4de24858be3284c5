"""Links lead somewhere, code runs, and commands are those that there are."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from physio.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    *sorted((ROOT / "experiments").rglob("README.md")),
    ROOT / "benchmarks" / "README.md",
)
each = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text("utf-8")))


def blocks(page: Path, *kinds: str) -> list[str]:
    found = _BLOCK.findall(page.read_text("utf-8"))
    return [text for kind, text in found if kind in kinds]


def anchors(page: Path) -> set[str]:
    """Return what a forge calls the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", _BLOCK.sub("", page.read_text("utf-8")), re.M)
    plain = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {head.strip().replace(" ", "-") for head in plain}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere in the repository."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            found.append(target)
    return found


def commands(page: Path) -> list[str]:
    """Return the ``physio`` lines of a page's shell blocks, comments cut off."""
    lines = "\n".join(blocks(page, "", "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("physio ")]


def parsed(line: str) -> None:
    """Have the command line parsed as the command itself would, and run nothing."""
    words = shlex.split(line, comments=True)[1:]
    group: Any = get_command(app)
    with group.make_context("physio", words) as context:
        rest = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, rest)
        command.make_context(name, rest, parent=context)


@each
def test_links_lead_to_something(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b: c\n[x](#a-b-c) [y](#d) [z](no.md) `[w](no.md)`\n")
    assert broken(page) == ["#d", "no.md"]


@each
def test_results_that_are_named_are_there(page: Path) -> None:
    pattern = r"(?:experiments|benchmarks)/(?:[\w-]+/)*[a-z][\w-]*\.(?:json|toml|py)\b"
    named = set(re.findall(pattern, page.read_text("utf-8")))
    assert [name for name in named if not (ROOT / name).is_file()] == []


@each
def test_code_is_python(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


@pytest.mark.parametrize(
    "line",
    [pytest.param(x, id=f"{p.name}: {x[:60]}") for p in PAGES for x in commands(p)],
)
def test_commands_are_those_that_there_are(line: str) -> None:
    parsed(line)


def helps(name: str, command: Any) -> list[tuple[str, str]]:
    """Return the help of every command below one."""
    below = getattr(command, "commands", {})
    found = [x for key, inner in below.items() for x in helps(f"{name} {key}", inner)]
    return found or [(name, command.help or "")]


def test_every_command_teaches_by_an_example_that_can_be_given() -> None:
    for name, text in helps("physio", get_command(app)):
        examples = re.findall(r"`(physio [^`]+)`", text.partition("Example:")[2])
        assert any(line.startswith(name) for line in examples), name
        for line in examples:
            parsed(line)


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8").splitlines()
    pages = {p.stem for p in (ROOT / "docs").glob("*.md")} - {"index"}
    assert sorted(pages - set(index)) == []


def test_a_wrong_command_is_found() -> None:
    for line in ("physio reply x.xdf", "physio replay x.xdf --fats", "physio delete"):
        with pytest.raises((Exception, SystemExit), match=r"(?i)no such|missing"):
            parsed(line)


def test_the_readme_reads_a_wristband(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    export = tmp_path / "my_e4_export.zip"
    export.mkdir()  # a folder does as well
    n = 100
    skin = 2 + 0.2 * np.sin(np.arange(4 * n) / 20) + rng.normal(0, 0.003, 4 * n)
    still = np.array([0, 0, 64]) + np.round(rng.normal(0, 1, (32 * n, 3)))
    swing = 0.08 * np.sin(2 * np.pi * 0.25 * np.arange(64 * n) / 64)
    pulse = 50 * np.sin(2 * np.pi * np.cumsum(1.2 + swing) / 64)
    told = (("EDA", 4, skin), ("BVP", 64, pulse), ("TEMP", 4, 33 + 0 * skin))
    for name, rate, values in (*told, ("ACC", 32, still)):
        columns = values.reshape(len(values), -1)
        head = [[1.5e9] * columns.shape[1], [rate] * columns.shape[1]]
        np.savetxt(
            export / f"{name}.csv", np.vstack([head, columns]), "%.6f", delimiter=", "
        )
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "README.md", "python")
    room: dict[str, Any] = {}
    exec(code, room)
    assert room["table"]["arousal"].notna().any()
    assert (room["low"].dropna() < room["high"].dropna()).all()


def test_splits_are_divided_and_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    from physio.datasets import feature_table

    monkeypatch.syspath_prepend(str(ROOT / "tests" / "physio"))
    made = __import__("tables").table()
    made["label"] = made["label"].replace("calm", "baseline")
    monkeypatch.setattr(feature_table, "read", lambda folder: made if folder else None)
    model = RandomForestClassifier(5, random_state=1)
    room: dict[str, Any] = {"model": model, "cross_val_score": cross_val_score}
    for code in blocks(ROOT / "docs" / "splits.md", "python"):
        exec(code, room)
    assert room["result"]["audit"]["ok"]
    assert len(room["scores"]) == 6
    sys.modules.pop("tables", None)


def test_a_data_set_is_read(tmp_path: Path) -> None:
    import miniatures

    miniatures.deap(tmp_path)
    (code,) = blocks(ROOT / "docs" / "data.md", "python")
    assert '"/data/DEAP/data_preprocessed_python"' in code
    room: dict[str, Any] = {}
    exec(code.replace("/data/DEAP/data_preprocessed_python", str(tmp_path)), room)
    assert "biosemi.eeg" in room["recording"].streams


def test_a_device_of_ones_own_is_read() -> None:
    (code,) = blocks(ROOT / "docs" / "devices.md", "python")
    room: dict[str, Any] = {}
    exec(code, room)
    from physio.core.protocols import FastClock

    clock = FastClock()
    with room["Thermometer"](sense=lambda: 21.5, clock=clock) as device:
        first = device.read()
        clock.wait(3.5)
        (late,) = device.read()
    assert [b.data.ravel().tolist() for b in first] == [[21.5]]
    assert late.start == 1
    np.testing.assert_array_equal(late.data.ravel(), [np.nan, np.nan, 21.5])


def test_a_model_of_ones_own_is_evaluated(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    n = 24
    made = {
        "dataset": "made up", "subject": np.repeat(["a", "b", "c", "d"], n // 4),
        "session": "", "trial": "", "segment": np.tile([0, 0, 0, 1, 1, 1], 4),
        "label": np.tile(["rest"] * 3 + ["task"] * 3, 4),
    }  # fmt: skip
    table = pd.DataFrame(made)
    table["start_s"] = np.tile(60.0 * np.arange(6), 4)
    table["end_s"] = table["start_s"] + 60
    table["start_sample"] = (4 * table["start_s"]).astype(int)
    table["end_sample"] = table["start_sample"] + 240
    table["support_start_sample"] = table["start_sample"]
    task = (table["label"] == "task").to_numpy()
    tokens = rng.normal(size=(n, 5, 2)) + 2 * task[:, None, None]

    def net(given: Any) -> Any:
        p = 1 / (1 + np.exp(1 - given.x[given.fold.test].mean(axis=(1, 2))))
        return np.column_stack([1 - p, p])

    (code,) = blocks(ROOT / "docs" / "evaluate.md", "python")
    exec(code, {"table": table, "tokens": tokens, "net": net, "out": tmp_path})
    assert (tmp_path / "evaluation.md").read_text("utf-8").count("net") > 0
