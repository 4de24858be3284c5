"""Each skeleton of the page "Extend it" works from outside the package."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block
from physio.core.missing import missing_reason
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.io import xdf
from physio.online import session_config
from physio.online.session import Session
from physio.testing import FakeDataset

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extend.md").read_text("utf-8")
MODULES = (
    "my_device",
    "my_stage",
    "my_dataset",
    "my_model",
    "my_live_model",
    "my_sink",
)
SESSION = ("devices", "chains", "estimator", "sinks")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def skeletons() -> dict[str, str]:
    """Return the modules of the page by name; the first line is their docstring."""
    sources = [text for text in blocks("python") if text.startswith('"""')]
    return {text[3:].partition(".py:")[0]: text for text in sources}


def checks() -> dict[str, str]:
    """Return the code that checks each module, by its name."""
    sources = [text for text in blocks("python") if not text.startswith('"""')]
    return {re.search(r"from (my_\w+)", text)[1]: text for text in sources}  # type: ignore[index]


def python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder outside the package; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def physio(folder: Path, *arguments: str) -> str:
    code = "from physio.cli import main; main()"
    return python(folder, "-c", code, *arguments)


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """Return a function that runs a command in the folder, in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    yield run
    for name in MODULES:
        sys.modules.pop(name, None)


def trusted(*modules: str) -> list[str]:
    return [part for module in modules for part in ("--trust", module)]


@pytest.fixture(scope="module")
def receiver() -> Iterator[socket.socket]:
    """Another program on this computer that listens for estimates."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5.0)
        yield listening


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, receiver: socket.socket) -> Path:
    """Return a folder with the modules, files and data that the page describes."""
    folder = tmp_path_factory.mktemp("mine")
    for name, text in skeletons().items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    tables = [text for text in blocks("toml") if "entry-points" not in text]
    (evaluation,) = [text for text in tables if "[evaluation]" in text]
    (folder / "evaluation.toml").write_text(evaluation, "utf-8")
    session = "\n".join(text for text in tables if text is not evaluation)
    assert tuple(tomllib.loads(session)) == SESSION
    port = str(receiver.getsockname()[1])
    text = '[session]\nconsent = "none: simulated"\n' + session.replace("9000", port)
    (folder / "session.toml").write_text(text, "utf-8")
    write_data(folder / "data")
    return folder


def write_data(folder: Path) -> None:
    """Write EDA of simulated participants as the CSV files of the page."""
    folder.mkdir()
    fake = FakeDataset(n_participants=4, seconds=60.0)
    for trial in fake.trials():
        recording = fake.load(trial)
        (block,) = recording.streams["band.eda"]
        conditions = recording.events["study.conditions"]
        index = np.searchsorted(conditions.times, block.times, side="right") - 1
        labels = [conditions.labels[i] for i in index]
        table = pd.DataFrame({"eda": block.data[:, 0], "condition": labels})
        table.to_csv(folder / f"{trial.subject}.csv", index=False)


def test_every_kind_of_extension_has_a_skeleton_and_a_check() -> None:
    assert tuple(skeletons()) == tuple(checks()) == MODULES
    for name, text in skeletons().items():
        lines = [line for line in text.splitlines() if line]
        assert 15 <= len(lines) <= 45, f"{name} has {len(lines)} lines"


def test_the_checks_pass_on_each_skeleton(folder: Path) -> None:
    script = "\n".join(
        f"{text}\nprint({name!r}, flush=True)" for name, text in checks().items()
    )
    (folder / "check_all.py").write_text(script, "utf-8")
    assert python(folder, "-c", "import sys; sys.path.insert(0, ''); import check_all")
    assert (folder / "my_weights" / "weights.safetensors").is_file()


FAULTS = {
    "my_device": ("self._aligner = None", "pass", "law 8"),
    "my_stage": ("np.sqrt(slide", "len(x) * np.sqrt(slide", "law 1"),
    "my_dataset": ('table[["eda"]]', '1000 * table[["eda"]]', "law 9"),
    "my_model": ("similarity / similarity", "similarity * similarity", "law 10"),
    "my_live_model": ("+ 0 * arousal", "", "law 10"),
    "my_sink": ("not isinstance(item, Block)", "item.labels", "the law of a sink"),
}
"""A fault of each skeleton, and the law that it breaks."""


@pytest.mark.parametrize("name", MODULES)
def test_the_checks_find_a_fault(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct, faulty, law = FAULTS[name]
    text = skeletons()[name]
    assert correct in text
    monkeypatch.chdir(folder)
    module = type(sys)(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(text.replace(correct, faulty), module.__dict__)
    with pytest.raises(AssertionError, match=f"breaks {law}"):
        exec(checks()[name], {})


def test_a_real_session_records_estimates_and_sends(
    folder: Path, receiver: socket.socket
) -> None:
    if not (folder / "my_weights").is_dir():
        python(folder, "-c", "import sys; sys.path.insert(0, ''); " + SAVE)
    modules = trusted("my_device", "my_stage", "my_live_model", "my_sink")
    began = time.monotonic()
    physio(folder, "live", "session.toml", "--seconds", "3", "--out", "out", *modules)
    assert time.monotonic() - began > 3.0
    recording = xdf.read(folder / "out" / "recording.xdf")
    blocks = recording.streams["sensor.eda"]
    rows = sum(map(len, blocks))
    assert blocks[-1].stop in range(20, 33)  # 3 s at 8 Hz, and the start
    assert rows == blocks[-1].stop - 1  # sample 7 was lost
    estimates = pd.read_parquet(folder / "out" / "estimates.parquet")
    arousal = estimates["arousal"].dropna()
    assert len(arousal) >= 4
    assert estimates["valence"].isna().all()
    messages = received(receiver)
    assert len(messages) >= len(arousal)
    sent = [message["arousal"] for message in messages if "arousal" in message]
    np.testing.assert_array_equal(sent[: len(arousal)], arousal[: len(sent)])


SAVE = "import pathlib, my_live_model as m; m.save(pathlib.Path('my_weights'))"


def received(receiver: socket.socket) -> list[Any]:
    """Return the messages that have arrived."""
    messages = []
    receiver.setblocking(False)
    while True:
        try:
            messages.append(json.loads(receiver.recv(65536)))
        except BlockingIOError:
            return messages


def test_a_data_set_is_extracted_and_a_model_evaluated(
    folder: Path, command: Callable[..., str]
) -> None:
    extract, evaluate = line("extract .*"), line("evaluate .*")
    command(*extract)
    command(*evaluate)
    page = (folder / "results" / "evaluation.md").read_text("utf-8")
    assert "nearest" in page
    results = json.loads((folder / "results" / "evaluation.json").read_text("utf-8"))
    assert "nearest" in json.dumps(results)


def line(pattern: str) -> list[str]:
    """Return the arguments of a command of the page."""
    match = re.search(rf"(?:^|`)physio ({pattern}?)(?:$|`)", PAGE, re.MULTILINE)
    assert match is not None
    return match[1].split()


def test_a_stage_computes_a_table_and_its_code_counts(
    folder: Path, command: Callable[..., str]
) -> None:
    arguments = line("extract .*my_stage")
    (folder / "chains.toml").write_text(
        (folder / "session.toml").read_text("utf-8").replace("sensor.eda", "band.eda")
    )
    command(*arguments)
    table = pd.read_parquet(folder / "features")
    assert table["eda.rms.eda"].notna().all()
    module = folder / "my_stage.py"
    before = module.read_text("utf-8")
    try:
        module.write_text(before + "# changed\n", "utf-8")
        assert "4 participants computed" in command(*arguments)
    finally:
        module.write_text(before, "utf-8")


def test_the_same_is_computed_live_and_from_the_recording(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of the page at once, on a clock that does not wait, and replayed."""
    from devices.replay import Replay

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    if not (folder / "my_weights").is_dir():
        exec(SAVE)
    file = session_config.read(folder / "session.toml", MODULES)
    clock = FastClock(1000.0)
    devices = file.devices(clock)
    with Session(file.plan, devices, (), clock, poll=0.3, seconds=40.0) as session:
        items = list(session)
        plan = session.plan
    live = stacked(items)
    assert np.isfinite(live.column("arousal")).sum() > 100
    streams = {
        "sensor.eda": tuple(
            i for i in items if isinstance(i, Block) and i.info.name == "sensor.eda"
        )
    }
    recording = Recording(streams, metadata={"begin": "1000.0"})
    clock = FastClock(1000.0)
    with Session(plan, [Replay(recording, clock)], (), clock, poll=1.7) as session:
        again = stacked(list(session))
    n = min(len(live), len(again))
    assert n > 100
    np.testing.assert_array_equal(live.data[:n], again.data[:n])
    np.testing.assert_array_equal(
        missing_reason(live.data[:n]), missing_reason(again.data[:n])
    )
    for name in MODULES:
        sys.modules.pop(name, None)


def stacked(items: list[Any]) -> Block:
    parts = [i for i in items if isinstance(i, Block) and i.info.name == "estimates"]
    return Block(parts[0].info, 0, parts[0].t0, np.concatenate([b.data for b in parts]))
