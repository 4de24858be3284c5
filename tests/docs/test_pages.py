"""Links exist, code runs, commands are real, generated pages are complete."""

import importlib
import importlib.util
import pkgutil
import re
import shlex
import sys
import threading
import tomllib
from dataclasses import fields
from fractions import Fraction
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
GENERATED = ("columns", "commands", "settings", "supported")
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
        if place.parent == ROOT / "docs" / "generated" and place.stem in GENERATED:
            continue
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


@each
def test_settings_are_toml(page: Path) -> None:
    for text in blocks(page, "toml"):
        tomllib.loads(text)


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
    pages = sorted((ROOT / "docs").glob("*.md"))
    trees = [text for p in pages for text in blocks(p, "{toctree}")]
    listed = {line for text in trees for line in text.splitlines()}
    names = {p.stem for p in pages} - {"index"}
    assert sorted(names - listed) == []
    assert [n for n in GENERATED if f"generated/{n}" not in listed] == []


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


def test_the_session_file_of_the_readme_is_valid() -> None:
    from physio.core.protocols import FastClock
    from physio.online.session_config import SessionConfig

    (text,) = blocks(ROOT / "README.md", "toml")
    config = SessionConfig(tomllib.loads(text), "README.md")
    devices = [type(d).__name__ for d in config.devices(FastClock())]
    assert devices == ["Board", "Inlet", "E4", "H10"]
    assert config.session.participant == "p07"


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


def test_the_commands_of_the_table_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    import miniatures

    miniatures.wristbands(tmp_path)
    page = ROOT / "docs" / "table.md"
    monkeypatch.chdir(tmp_path)
    for line in commands(page):
        words = [*shlex.split(line)[1:], "--backend", "serial"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
    named = re.findall(r"^\| `([\w.]+)/?` \|", page.read_text("utf-8"), re.M)
    written = {path.name for path in tmp_path.iterdir()} | {"table_events.csv"}
    assert set(named) - written == set()
    assert (tmp_path / "events_events.sav").exists()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write recordings of six people as XDF into the folder of the page."""
    sys.path.insert(0, str(ROOT / "tests" / "physio"))
    from labelled_people import People
    from physio.io.xdf.write_recording import write

    folder = tmp_path_factory.mktemp("own") / "recordings"
    folder.mkdir()
    people = People(folder)
    for trial in people.trials():
        if trial.session == "2" and trial.subject != "P2":
            continue
        recording = people.load(trial)
        write(folder / f"{trial.subject}-{trial.session}.xdf", recording)
    sys.path.remove(str(ROOT / "tests" / "physio"))
    return folder


def test_the_commands_of_an_own_model_run(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    page, folder = ROOT / "docs" / "own-models.md", recordings.parent
    monkeypatch.chdir(folder)
    session, general, *_ = blocks(page, "toml")
    Path("session.toml").write_text(session, "utf-8")
    assert {"data", "target", "features", "protocol"} <= set(tomllib.loads(general))
    for line in commands(page):
        if "./mine" in line:  # of the reader, or of the hub
            continue
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
        if "--out mine.toml" in line:
            text = Path("mine.toml").read_text("utf-8")
            assert 'dataset = "sessions"' in text
            text = text.replace("baseline_seconds = 60", "baseline_seconds = 20")
            Path("mine.toml").write_text(text, "utf-8")
    assert (folder / "recordings-model" / "card.json").is_file()
    assert 'by = "session-out"' in Path("p2.toml").read_text("utf-8")
    assert (folder / "replayed" / "estimates.parquet").is_file()
    estimates = pd.read_parquet(folder / "replayed" / "estimates.parquet")
    assert estimates["arousal"].notna().mean() > 0.5


def test_tables_are_given_to_learners() -> None:
    pytest.importorskip("torch")
    sys.path.insert(0, str(ROOT / "tests" / "physio"))
    made = __import__("tables").table()
    sys.path.remove(str(ROOT / "tests" / "physio"))
    made["subject"] = made["subject"].replace({made["subject"].iloc[0]: "S2"})
    (code,) = blocks(ROOT / "docs" / "own-models.md", "python")
    room: dict[str, Any] = {"table": made}
    exec(code, room)
    assert len(room["X"]) == len(room["y"]) == len(room["groups"])
    count = sum(len(y) for _, y in room["test"])
    assert count == int((room["groups"] == "S2").sum()) > 0
    assert sum(len(y) for _, y in room["train"]) == len(room["X"]) - count


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


@pytest.fixture(scope="module")
def docs() -> Any:
    """Return the module that generates pages."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("pages")
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def generated(docs: Any) -> dict[str, str]:
    return {name: page() for name, page in docs.GENERATED.items()}


def test_generated_pages_are_those_that_links_may_name(docs: Any) -> None:
    assert sorted(docs.GENERATED) == sorted(GENERATED)


def test_every_column_of_a_session_is_on_the_page(generated: dict[str, str]) -> None:
    from devices.simulated import Chest, Headset, Wristband
    from physio.core.protocols import FastClock
    from physio.online.default_pipeline import feature_info
    from physio.online.session_config import SessionConfig

    clock = FastClock()
    worn = [d(name=d.__name__, clock=clock) for d in (Chest, Headset, Wristband)]
    for device in worn:
        device.__enter__()
    streams = [info for device in worn for info in device.streams]
    plan = SessionConfig({}).plan(streams)
    electrodes = {c.name for i in streams for c in i.channels if c.kind == "eeg"}
    names = set()
    for name in feature_info(plan, streams).names:
        chain, _, feature = name.partition(".")
        stem, _, last = feature.rpartition(".")
        feature = f"{stem}.<electrode>" if last in electrodes else feature
        names.add(f"{chain.rstrip('0123456789')}.{feature}")
    names = {n for n in names if ".window_" not in n}
    assert len(names) > 15
    page = generated["columns"]
    assert [name for name in sorted(names) if f"| `{name}` |" not in page] == []


def test_every_estimate_and_reason_is_on_the_page(
    docs: Any, generated: dict[str, str]
) -> None:
    from physio.core.missing import MissingReason
    from physio.inference.estimator import INTERVALS

    page = generated["columns"]
    names = {*docs.reference.estimate_columns(), *INTERVALS}
    names = {n for n in names if "valence" not in n and "dominance" not in n}
    shown = {n.replace("arousal", "<dimension>") for n in names}
    assert [n for n in sorted(shown) if f"| `{n}` |" not in page] == []
    reasons = [r for r in MissingReason if r]
    assert [r for r in reasons if f"{int(r)} {r.words}" not in page] == []


def test_every_chain_and_stage_has_unit_delay_and_window(
    docs: Any, generated: dict[str, str]
) -> None:
    shipped = tomllib.loads((ROOT / "physio/assets/chains.toml").read_text("utf-8"))
    page = generated["columns"]
    names = [table.get("name", name) for name, table in shipped.items()]
    assert [name for name in names if f"## Chain `{name}`" not in page] == []
    stages = docs.reference.settings_classes("stages")
    features = [c for c in stages if c.__module__.startswith("physio.features")]
    assert [c for c in features if f"**`{docs.reference.path(c)}`**" not in page] == []
    for row in re.findall(r"^\| `\w+\.[^`]+` \|(.*)\|$", page, re.M):
        assert all(cell.strip() for cell in row.split("|")[:2]), row


def test_every_setting_is_on_the_page(docs: Any, generated: dict[str, str]) -> None:
    session = {"clock", "folder", "about", "inputs"}  # which no file sets
    parts = re.split(r"^### `(.+)`$", generated["settings"], flags=re.M)
    text = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert len(text) > 50
    for _, section in docs.reference.SECTIONS:
        for cls in docs.reference.settings_classes(section):
            hidden = session | ({"name"} if section == "devices" else set())
            for f in fields(cls):
                if f.init and not f.name.startswith("_") and f.name not in hidden:
                    where = f"{docs.reference.path(cls)}.{f.name}"
                    row = re.search(
                        rf"^\| `{f.name}` \| (.+) \| (.*) \|$",
                        text[docs.reference.path(cls)],
                        re.M,
                    )
                    assert row is not None, where
                    assert row[2].strip(), f"{where} has no description"


def test_every_class_of_a_configuration_file_is_on_the_page(
    generated: dict[str, str],
) -> None:
    files = [*(ROOT / "configs").glob("*.toml"), ROOT / "physio/assets/chains.toml"]
    uses = {u for f in files for u in re.findall(r'use = "(.+?)"', f.read_text())}
    for use in sorted(u for u in uses if not u.startswith("sklearn.")):
        module, _, name = use.partition(":")
        cls = getattr(importlib.import_module(module), name)
        assert f"### `{cls.__module__}:{name}`" in generated["settings"], use


def test_every_command_and_option_is_on_the_page(
    docs: Any, generated: dict[str, str]
) -> None:
    page = generated["commands"]
    commands = docs.all_commands("physio", get_command(app))
    assert len(commands) > 20
    for name, command, panel in commands:
        assert f"## {panel}\n" in page
        part = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert part, name
        for parameter in command.params:
            for option in parameter.opts:
                shown = option.upper() if not option.startswith("-") else option
                assert shown == "--help" or f"`{shown}`" in part, (name, option)


def test_every_device_format_and_data_set_is_on_the_page(
    generated: dict[str, str],
) -> None:
    import devices
    from devices.board import available_boards
    from physio.datasets.open_recording import FORMATS

    page = generated["supported"]
    for module in pkgutil.iter_modules(devices.__path__):
        found = importlib.import_module(f"devices.{module.name}")
        assert f"| `devices.{module.name}" in page
        assert f"| {found.TESTED_WITH} |" in page
    assert [b for b in available_boards() if f"`{b}`" not in page] == []
    for entry in FORMATS:
        assert f"| `{entry.reader}` | {entry.tested_with} |" in page
        assert importlib.util.find_spec(entry.reader) is not None
    from physio.datasets.library import dataset_classes

    assert len(dataset_classes()) > 9
    for name in dataset_classes():
        assert f"| `physio.datasets.{name}:" in page


def test_messages_of_the_page_on_troubles_are_in_the_code() -> None:
    files = [
        f
        for root in ("physio", "devices")
        for f in (ROOT / root).rglob("*.py")
    ]  # fmt: skip
    code = "\n".join(f.read_text("utf-8") for f in (*files, ROOT / "Makefile"))
    code = re.sub(r'"\s*\n?\s*f?"', "", code)
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?) \| [^|]+\|$", page, re.M)
    assert len(rows) > 25
    for message in (m for row in rows for m in re.findall(r"`([^`]+)`", row)):
        for part in re.split(r"\s*\.\.\.\s*", message):
            assert part.strip("; ,:") in code, message


def send(*needs: str) -> str:
    """Return the one Python block of the page on sending that has these words."""
    page = blocks(ROOT / "docs" / "send.md", "python")
    (code,) = (c for c in page if all(n in c for n in needs))
    return code


def test_a_program_receives_estimates_by_lsl(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from physio.core.block import Block, Channel, StreamInfo
    from physio.sinks.lsl import Lsl

    names = ("arousal", "arousal.sd", "arousal.missing")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    ended = threading.Event()

    def run() -> None:
        with Lsl() as sink:
            for i in range(400):
                sink.write(Block(info, i, 0.0, np.array([[0.25, 0.5, 0.0]])))
                if ended.wait(0.05):
                    break

    thread = threading.Thread(target=run)
    thread.start()
    try:
        exec(send("resolve_byprop"), {})
    finally:
        ended.set()
        thread.join()
    assert capsys.readouterr().out == "0.25 0.5 0.0\n"


def test_a_program_runs_a_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from physio.core import protocols

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(protocols, "WallClock", protocols.FastClock)
    code = send("session_config").replace("seconds=60", "seconds=5")
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 15
    assert all(re.fullmatch(r"[\d.]+ s: arousal [-\d.na]+", line) for line in lines)


def test_a_program_reads_what_a_session_wrote(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from physio.core.block import Block, Channel, StreamInfo
    from physio.core.missing import MissingReason
    from physio.sinks.jsonl import JsonLines
    from physio.sinks.parquet import ParquetTables

    folder = tmp_path / "sessions" / "p07"
    folder.mkdir(parents=True)
    names = ("arousal", "arousal.sd", "arousal.missing")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    nan = MissingReason.WARMING_UP.nan
    rows = np.array([[nan, nan, 2.0], [0.25, 0.5, 0.0]])
    with JsonLines(folder) as lines, ParquetTables(folder) as table:
        for sink in (lines, table):
            sink.write(Block(info, 0, 0.0, rows))
    monkeypatch.chdir(tmp_path)
    exec(send("json"), {})
    assert capsys.readouterr().out == "0.25 0.25 0.5\n"
    room: dict[str, Any] = {}
    exec(send("read_parquet"), room)
    assert room["valid"]["arousal"].tolist() == [0.25]
