"""Law of all commands: nothing is written, renamed or removed but the named target.

Inputs are hostile: names of streams, channels, participants, markers, conditions,
models, weights and members of archives lead elsewhere. A command that is not in the
table fails the test, so that a new one is not forgotten.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import tomli_w
import typer
from typer.testing import CliRunner

import miniatures
import physio.assets
from hostile import ELSEWHERE, NAMES, hostile_xdf, hostile_zip
from labelled_people import People
from physio.cli import app, session_folder
from physio.datasets.base import Trial
from physio.datasets.open_recording import read
from physio.io import xdf
from physio.io.xdf import write_recording
from physio.testing import FakeDataset
from tables import table

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(physio.assets.__file__).parent / "study"
CHANGING: Final = {
    "os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,),
    "os.symlink": (1,), "os.link": (1,), "os.truncate": (0,), "os.chmod": (0,),
    "os.chown": (0,), "os.utime": (0,), "os.mkfifo": (0,), "shutil.rmtree": (0,),
}  # fmt: skip
"""Audited changes, and the arguments that are paths."""


RELATIVE: Final = frozenset(("os.remove", "os.rmdir", "os.mkdir"))


class Changes:
    """Paths that Python code of this process changes while it is watched."""

    def __init__(self) -> None:
        self.watched: list[str] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.watched is None:
            return
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        if event == "open" and isinstance(args[0], str | bytes) and args[2] & writing:
            self._add(args[0])
        for i in CHANGING.get(event, ()):
            # The last argument of a removal is the folder that a name is relative to.
            self._add(args[i], args[-1] if event in RELATIVE else -1)

    def _add(self, path: Any, folder: int = -1) -> None:
        if self.watched is None or isinstance(path, int):
            return
        at = Path.cwd() if folder == -1 else Path(f"/proc/self/fd/{folder}").readlink()
        self.watched.append(os.path.normpath(at / os.fsdecode(path)))

    @contextmanager
    def during(self) -> Iterator[list[str]]:
        self.watched = found = []
        try:
            yield found
        finally:
            self.watched = None


CHANGES = Changes()


def state(root: Path) -> dict[str, str]:
    """Return what is below a folder: each path with its kind, target or content."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            text = f"link to {path.readlink()}"
        elif path.is_file():
            text = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            text = f"folder {path.stat().st_mode:o}"
        found[str(path.relative_to(root))] = text
    return found


@dataclass
class World:
    """A tree of folders in which a command runs; only its targets may change."""

    root: Path
    run: Path
    targets: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("in", "work", "home", "tmp", "out"):
            (self.root / name).mkdir(parents=True)
        (self.root / "precious").mkdir()
        (self.root / "precious" / "file").write_text("precious", "utf-8")

    @property
    def out(self) -> Path:
        """The named target; it does not exist yet."""
        target = self.root / "out" / "target"
        if target not in self.targets:
            self.targets.append(target)
        return target

    def xdf(self) -> Path:
        path = self.root / "in" / "r.xdf"
        return path if path.exists() else hostile_xdf(path)

    def text(self, name: str, text: str) -> Path:
        path = self.root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def precious(self, *names: str) -> None:
        """Let these paths lead to the precious file, as an unpacked archive can."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(self.root / "precious" / "file")


Lines = Iterator[list[object]]
CASES: dict[str, Callable[[World], Lines]] = {}


def case(name: str) -> Callable[[Callable[[World], Lines]], Callable[[World], Lines]]:
    def add(make: Callable[[World], Lines]) -> Callable[[World], Lines]:
        CASES[name] = make
        return make

    return add


def session(world: World) -> Path:
    """Return the folder of a session, described as running, that no process runs."""
    folder = world.root / "in" / "session"
    hostile_xdf(folder / "recording.xdf")
    session_folder.describe(folder, {}, state="running", participant="../x")
    return folder


def devices(world: World) -> Path:
    tables = {
        "session": {"participant": "p1", "consent": NAMES[2]},
        "devices": {"band": {"use": "devices.simulated:Wristband", "seconds": 1.0}},
    }
    return world.text("session.toml", tomli_w.dumps(tables))


def study(world: World) -> Path:
    """Return a study that others made, whose every name is hostile."""
    root = world.root / "in" / "study"
    (root / "sessions").mkdir(parents=True)
    plan = {
        "study": {"name": "../x", "participants": 33, "consent": ELSEWHERE,
                  "session": "session.toml", "preflight": False},
        "conditions": {name: {"seconds": 5.0} for name in NAMES},
        "contrasts": [{"of": NAMES[0], "against": NAMES[1],
                       "outcomes": ["scl", "mean_heart_rate"]}],
    }  # fmt: skip
    (root / "study.toml").write_text(tomli_w.dumps(plan), "utf-8")
    (root / "session.toml").write_text(
        (EXAMPLE / "session.toml").read_text("utf-8"), "utf-8"
    )
    from physio.study.design import Design

    frozen = {"hash": Design.read(root / "study.toml").hash, "seed": 1,
              "orders": [list(NAMES)] * 33, "frozen": "2026-01-01"}  # fmt: skip
    (root / "frozen.json").write_text(json.dumps(frozen), "utf-8")
    log = [{"at": "", "event": "frozen", "hash": frozen["hash"]}]
    for i, code in enumerate((*NAMES, "p1")):
        log.append({"event": "assigned", "participant": code, "order": i})
    text = "".join(json.dumps(line) + "\n" for line in log)
    (root / "log.jsonl").write_text(text, "utf-8")
    hostile_xdf(root / "sessions" / "p1-1" / "recording.xdf")
    hostile_xdf(world.root / "in" / "x-1" / "recording.xdf")  # reached by "../../x"
    return root


@case("demo")
def _(world: World) -> Lines:
    yield ["demo", "--fast", "--seconds", "3", "--out", world.out]
    world.targets.append(world.root / "work" / "sessions")
    yield ["demo", "--fast", "--seconds", "3", "--json", "-"]


@case("live")
def _(world: World) -> Lines:
    yield ["live", devices(world), "--seconds", "1", "--out", world.out]


@case("init session")
def _(world: World) -> Lines:
    yield ["init", "session", world.out, "--look-for", "synthetic"]
    yield ["init", "session", world.out, "--look-for", "synthetic"]


@case("record")
def _(world: World) -> Lines:
    proposed = world.out.with_name("proposed")
    world.targets += [proposed, proposed.with_name("proposed.toml")]
    yield ["record", "synthetic", "--seconds", "1", "--out", proposed]
    yield ["record", devices(world), "--seconds", "1", "--out", world.out]


@case("replay")
def _(world: World) -> Lines:
    yield ["replay", world.xdf(), "--fast", "--out", world.out]


@case("check")
def _(world: World) -> Lines:
    yield ["check", world.xdf(), "--json", "-"]
    yield ["check", session(world)]
    for i, name in enumerate(NAMES):
        yield ["check", hostile_zip(world.root / "in" / f"{i}.zip", name or "x")]


@case("calibrate")
def _(world: World) -> Lines:
    recording = FakeDataset(seconds=130.0).load(Trial("S1"))
    streams = {
        name: tuple(
            replace(b, info=replace(b.info, participant="../x")) for b in blocks
        )
        for name, blocks in recording.streams.items()
    }
    path = world.root / "in" / "p.xdf"
    xdf.write(path, replace(recording, streams=streams))
    yield ["calibrate", path, "--out", world.out, "--baseline", "0", "125"]


@case("rate")
def _(world: World) -> Lines:
    folder = session(world)
    for name in NAMES:
        yield ["rate", "7", "--session", folder, "--participant", name]


@case("mark")
def _(world: World) -> Lines:
    folder = session(world)
    for name in NAMES:
        yield ["mark", "--session", folder, "--participant", name, "--", name]


@case("view")
def _(world: World) -> Lines:
    path = hostile_zip(world.root / "in" / "r.zip", "x\x1b[2J\n.csv")
    yield ["view", path, "--no-open"]


@case("app")
def _(world: World) -> Lines:
    world.xdf()
    yield ["app", world.root / "in", "--no-open"]


@case("edit")
def _(world: World) -> Lines:
    path = world.xdf()
    yield ["edit", path, "--no-open"]
    for code in NAMES[:2]:
        yield ["edit", path, "--no-open", f"--rater={code}"]
    world.precious("in/r.xdf.edits.a.jsonl")
    yield ["edit", path, "--compare", "a", "b", "--output", world.out]


@case("repair")
def _(world: World) -> Lines:
    path = world.xdf()
    path.write_bytes(path.read_bytes()[:-3000])
    yield ["repair", path, "--out", world.out]
    beside = path.with_stem("r_repaired")
    world.targets += [beside, path.with_stem("r_repaired_old1")]
    world.precious("in/r_repaired.xdf")
    yield ["repair", path]


@case("export")
def _(world: World) -> Lines:
    for kind in ("csv", "parquet", "edf", "bids"):
        for more in ([], ["--anonymise"]) if kind != "edf" else ([],):
            target = world.out.with_name(f"{kind}{len(more)}")
            world.targets.append(target)
            yield ["export", world.xdf(), target, "--format", kind, *more]
    target = world.out.with_name("entities")
    world.targets.append(target)
    path = hostile_zip(world.root / "in" / "r.zip", "x.csv")
    for name in NAMES[::5]:
        yield ["export", path, target, f"--session={name}", f"--task={name}"]


@case("analyze")
def _(world: World) -> Lines:
    path = hostile_zip(world.root / "in" / "r.zip", "x.csv")
    world.targets += [world.out, world.out.with_suffix(".png")]
    yield [
        "analyze",
        path,
        "--output",
        world.out,
        "--plot",
        world.out.with_suffix(".png"),
    ]
    world.targets += [world.root / "in" / "r_analysis", world.out.with_name("x")]
    yield ["analyze", path]
    yield ["analyze", world.xdf(), "--output", world.out.with_name("x")]
    world.precious("in/file_analysis")
    (world.root / "in" / "folder").symlink_to(world.root / "precious")
    for name in ("file_analysis", "folder"):
        yield ["analyze", path, "--output", world.root / "in" / name]


@case("synchrony")
def _(world: World) -> Lines:
    one, two = (world.root / "in" / f"{name}.csv" for name in ("one", "two"))
    for i, path in enumerate((one, two)):
        path.parent.mkdir(exist_ok=True)
        wave = 3 + 0.1 * np.sin(np.arange(4 * 900) / (30 + i))
        frame = pd.DataFrame({"time (s)": np.arange(4 * 900) / 4, "EDA (uS)": wave})
        frame.to_csv(path, index=False)
    table, figure = world.out, world.out.with_suffix(".png")
    world.targets += [table, figure]
    quick = ["--shifts", "40", "--output", table, "--plot", figure]
    yield ["synchrony", one, two, *quick]
    world.precious("in/link.csv")
    yield ["synchrony", one, two, "--output", world.root / "in" / "link.csv"]
    yield ["synchrony", world.xdf(), "--output", world.root / "in" / "link.csv"]


@case("delete")
def _(world: World) -> Lines:
    folder = session(world)
    world.precious("in/session/link", "in/session/report.html")
    (folder / "folder").symlink_to(world.root / "precious")
    world.targets.append(folder)
    yield ["delete", folder, "--yes"]
    root = study(world)
    world.targets.append(root)
    for name in (*NAMES, "p1"):
        yield ["delete", root, "--participant", name, "--yes"]


@case("columns")
def _(world: World) -> Lines:
    head = ["time", "eda (uS)", *(json.dumps(n) for n in NAMES[:6])]
    rows = [",".join([str(i / 4), "0.5", *["1"] * 6]) for i in range(80)]
    path = world.text("a.csv", "\n".join([",".join(head), *rows]) + "\n")
    world.targets += [
        path.with_suffix(".columns.toml"),
        path.with_suffix(".columns.png"),
    ]
    yield ["columns", path]
    for beside in ("b.columns.toml", "c.columns.png"):
        path = world.text(f"{beside[0]}.csv", path.read_text("utf-8"))
        world.targets += [path.with_suffix(".columns.toml")]
        (world.root / "in" / beside).symlink_to(world.root / "precious" / "new")
        yield ["columns", path]


@case("table")
def _(world: World) -> Lines:
    lines = [json.dumps([n, n, i, i + 9])[1:-1] for i, n in enumerate(NAMES[:8])]
    head = "participant,condition,begin,end"
    sheet = world.text("sheet.csv", "\n".join([head, *lines]) + "\n")
    raw = world.root / "in" / "a.zip"
    miniatures.wristband(raw)
    for code, suffix in ((NAMES[0], "csv"), (NAMES[1], "xlsx"), (NAMES[2], "sav")):
        yield [
            "table", raw, "--conditions", sheet, "--participant", code, "--events",
            "t", "--baseline", "0", "60", "--no-estimates", "--plots",
            world.out / suffix, "-o", world.out / f"t.{suffix}",
        ]  # fmt: skip
    (world.root / "in" / "l.csv").symlink_to(world.root / "precious" / "new")
    yield ["table", raw, "--conditions", sheet, "-o", world.root / "in" / "l.csv"]


DATASET = """
from dataclasses import dataclass
from pathlib import Path

from physio.datasets.base import Trial
from physio.datasets.open_recording import read
from physio.testing import FakeDataset

NAMES = {names!r}

@dataclass(frozen=True)
class Hostile:
    root: Path
    name = "../x"
    citation = licence = "x"

    def trials(self):
        return tuple(sorted(Trial(n, n, n) for n in NAMES))

    def load(self, trial):
        return FakeDataset(seconds=20.0).load(Trial("S1"))
"""


@case("extract")
def _(world: World) -> Lines:
    names = (*NAMES[:8], *NAMES[10:14], "good")
    (world.root / "work" / "hostile_dataset.py").write_text(
        DATASET.format(names=names), "utf-8"
    )
    yield ["extract", "hostile_dataset:Hostile", ".", world.out, "--window", "10",
           "--trust", "hostile_dataset"]  # fmt: skip


def rows(world: World) -> Path:
    """Return a table of features of hostile participants."""
    path = world.root / "in" / "table.parquet"
    frame: pd.DataFrame = table(participants=6)
    codes = {f"S{i + 1}": NAMES[i] for i in range(6)}
    frame["subject"] = frame["subject"].map(codes)
    frame["trial"] = frame["session"] = "../x"
    frame.to_parquet(path, index=False)
    return path


@case("audit")
def _(world: World) -> Lines:
    folds, figures = world.out / "folds.json", world.out / "audit.json"
    world.out.mkdir()
    yield ["audit", rows(world), "--protocol", "loso", "--save", folds, "--json",
           figures]  # fmt: skip
    yield ["audit", rows(world), "--card", world.out / "card"]


@case("evaluate")
def _(world: World) -> Lines:
    model = {"use": "sklearn.linear_model:LogisticRegression"}
    tables = {
        "evaluation": {
            "use": "physio.evaluation.feature_benchmark:FeatureBenchmark",
            "protocol": "loso",
            "classes": {"../x": ["calm"], ELSEWHERE: ["stress"]},
            "features": ["eda", "heart"],
            "metrics": ["AUC"],
            "models": {"../x": model, ELSEWHERE: model, "a\nb": model},
            "reference": "../x",
        }
    }
    path = world.text("evaluation.toml", tomli_w.dumps(tables))
    yield ["evaluate", path, "--table", rows(world), "--out", world.out]


def xdf_of(source: Path, path: Path) -> Path:
    xdf.write(path, read(source))
    return path


@case("report")
def _(world: World) -> Lines:
    html, figures = world.out / "r.html", world.out / "figures"
    world.out.mkdir()
    yield ["report", world.xdf(), "--out", html, "--figures", figures]
    folder = world.root / "in" / "session"
    hostile_zip(folder / "e4.zip", "x.csv")
    recorded = xdf_of(folder / "e4.zip", folder / "recording.xdf")
    recorded.with_name("e4.zip").unlink()
    world.precious("in/session/report.html")
    world.targets.append(folder / "report.html")
    yield ["report", folder]
    audit = {"protocol": "../x", "ok": False, "findings": [], "n": ELSEWHERE}
    path = world.text("audit.json", json.dumps(audit))
    world.targets.append(path.with_suffix(".html"))
    yield ["report", path]
    yield ["report", rows(world), "--out", world.out / "t.html"]
    several = world.root / "in" / "several"
    several.mkdir()
    for name in ("a", "b"):
        shutil.copyfile(world.xdf(), several / f"{name}.xdf")
    whole = several.with_name("several_report.html")
    world.targets += [whole, whole.with_name("several_report_recordings")]
    yield ["report", several]


TRAINING = """
[training]
use = "experiments.weights.demo:TrainDemo"
electrodes = ["C3", "C4"]
columns = [["eda.tonic", "log"], ["motion.activity", "log"]]
participants = 3
tested = 1
seconds = 60.0
every = 2.0
epochs = 1
[training.headset]
use = "devices.simulated:Headset"
preset = "exaggerated"
channels = ["C3", "C4"]
[training.band]
use = "devices.simulated:Wristband"
preset = "exaggerated"
"""


@case("train")
def _(world: World) -> Lines:
    yield ["train", world.text("train.toml", TRAINING), "--out", world.out]
    wrist = ROOT / "experiments" / "weights"
    for path in wrist.glob("*wrist*.toml"):
        world.text(path.name, path.read_text("utf-8"))
    for name in NAMES:
        text = (wrist / "wrist.toml").read_text("utf-8")
        world.text("wrist.toml", f"{text}\nname = {json.dumps(name)}\n")
        yield ["train", world.root / "in" / "wrist.toml", "--out", world.out,
               "--data", world.root / "in"]  # fmt: skip


def weights(world: World) -> Path:
    """Return a folder of weights, with links where its files are written."""
    folder = world.root / "in" / "weights" / "mine"
    shutil.copytree(Path(physio.assets.__file__).parent / "weights" / "wrist", folder)
    world.precious("in/weights/mine/link")
    return folder


@case("weights list")
def _(world: World) -> Lines:
    yield ["weights", "list", weights(world).parent, "--json", world.out]


@case("weights show")
def _(world: World) -> Lines:
    yield ["weights", "show", weights(world)]


@case("weights check")
def _(world: World) -> Lines:
    yield ["weights", "check", weights(world)]
    for name in NAMES:
        yield ["weights", "check", name]


@case("weights pull")
def _(world: World) -> Lines:
    yield ["weights", "pull", weights(world), world.out]
    for name in NAMES:
        card = world.root / "in" / "weights" / "mine" / "card.json"
        table = {**json.loads(card.read_text("utf-8")), "use": name, "command": name}
        card.write_text(json.dumps(table), "utf-8")
        second = world.out.with_name("second")
        world.targets.append(second)
        yield ["weights", "pull", card.parent, second]


@case("weights push")
def _(world: World) -> Lines:
    yield ["weights", "push", weights(world), world.out]


@case("init train")
def _(world: World) -> Lines:
    people = world.root / "in" / "people"
    people.mkdir()
    recorded = People(people).load(Trial("P1", "1"))
    write_recording.write(people / "r.xdf", recorded)
    for name in NAMES:
        code = replace(recorded, metadata={"participant": name, "begin": "0.0"})
        write_recording.write(people / "s.xdf", code)
        yield ["init", "train", people, "--out", world.out]
    yield ["init", "train", people, "--out", world.root / "precious" / "file"]


@case("study init")
def _(world: World) -> Lines:
    yield ["study", "init", world.out, "--plan", study(world) / "study.toml"]
    world.targets.append(world.out.with_name("third"))
    yield ["study", "init", world.out.with_name("third"), "--browser"]
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    for name in NAMES:
        named = text.replace('"session.toml"', json.dumps(name, ensure_ascii=False))
        yield ["study", "init", world.out.with_name("second"), "--plan",
               world.text("study.toml", named.replace("\0", "\\u0000"))]  # fmt: skip


def rehearsal(world: World) -> Path:
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    text = text.replace("seconds = 120", "seconds = 8")
    text = text.replace("participants = 6", "participants = 1")
    world.text("plan/session.toml", (EXAMPLE / "session.toml").read_text("utf-8"))
    return world.text("plan/study.toml", text)


@case("study run")
def _(world: World) -> Lines:
    yield ["study", "init", world.out, "--plan", rehearsal(world)]
    why = ["--skip-preflight", "../x", "--deviation", "../x"]
    for name in NAMES:
        yield ["study", "run", world.out, "--participant", name, "--rehearse", *why]


@case("study rehearse")
def _(world: World) -> Lines:
    yield ["study", "init", world.out, "--plan", rehearsal(world)]
    yield ["study", "rehearse", world.out]


@case("study epochs")
def _(world: World) -> Lines:
    root = study(world)
    world.targets.append(root / "derived")
    yield ["study", "epochs", root, "--event", "begin"]
    (world.root / "in" / "second").mkdir()
    linked = study(World(world.root / "in" / "second", world.run))
    (linked / "derived").symlink_to(world.root / "precious")
    yield ["study", "epochs", linked, "--event", "begin"]
    yield ["study", "table", linked]


@case("study export")
def _(world: World) -> Lines:
    yield ["study", "export", study(world), world.out]


@case("study marker-latency")
def _(world: World) -> Lines:
    for name in NAMES[:4]:
        yield ["study", "marker-latency", world.xdf(), "--channel", name]


@case("study table")
def _(world: World) -> Lines:
    root = study(world)
    world.targets += [root / "derived", root / ".derived.new"]
    yield ["study", "table", root, "--json", world.out]
    bids = world.root / "in" / "bids"
    world.targets.append(bids)
    yield ["study", "export", root, bids]
    target = world.out.with_name("again")
    world.targets += [target, target.with_name(".again.new")]
    yield ["study", "table", bids, "--plan", root / "study.toml", "--out", target]


@case("devices")
def _(_world: World) -> Lines:
    yield ["devices", "--seconds", "0.1"]


@case("doctor")
def _(_world: World) -> Lines:
    yield ["doctor"]


@case("bench")
def _(world: World) -> Lines:
    yield ["bench", "dsp_beat_detection", "--json", world.out]
    yield ["bench", "../x", "--json", world.out]


def commands() -> set[str]:
    """Return the names of all commands of the command line."""
    found = set()

    def visit(command: Any, path: tuple[str, ...]) -> None:
        for name, part in getattr(command, "commands", {}).items():
            visit(part, (*path, name))
        if not hasattr(command, "commands"):
            found.add(" ".join(path))

    visit(typer.main.get_command(app), ())
    return found


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_every_command_is_in_the_table() -> None:
    assert set(CASES) == commands()


SLOW: Final = frozenset((
    "app", "audit", "bench", "calibrate", "demo", "edit", "evaluate",
    "study rehearse", "train", "view",
))  # fmt: skip
"""Commands that take seconds, for `make long`."""


def interrupted(line: list[str], world: World) -> str:
    """Run a command that serves a page until Ctrl-C."""
    inside = {
        "HOME": str(world.root / "home"),
        "TMPDIR": str(world.root / "tmp"),
        "XDG_RUNTIME_DIR": str(world.root / "run"),
        "PYTHONPATH": str(ROOT),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "physio", *line], env={**os.environ, **inside},
        cwd=world.root / "work", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        first = child.stdout.readline()
        child.send_signal(signal.SIGINT)
        return first + child.stdout.read()


CACHES_OF_LIBRARIES = ("home/.cache", "home/.config", "tmp")

CACHES = ("__pycache__", ".nbi", ".nbc")
"""Parts of paths of compiled code, which Python and Numba store with the package."""


@pytest.mark.filterwarnings("ignore")  # of the readers and of mne-bids: see output
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name in SLOW else ())
        for name in sorted(CASES)
    ],
)
def test_a_command_changes_its_target_alone(
    name: str, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, short)
    monkeypatch.setenv("HOME", str(world.root / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(world.run))
    monkeypatch.setattr("tempfile.tempdir", str(world.root / "tmp"))
    monkeypatch.chdir(world.root / "work")
    assert not Path(ELSEWHERE).exists()
    done = 0
    lines = CASES[name](world)
    while True:
        line = next(lines, None)
        if line is None:
            break
        texts = [str(part) for part in line]
        before = state(world.root)
        with CHANGES.during() as changed:
            output = _run(texts, world)
        done += output is not None
        after = state(world.root)
        kept = {k: v for k, v in before.items() if not _inside(k, world)}
        left = {k: v for k, v in after.items() if not _inside(k, world)}
        assert left == kept, texts
        outside = [p for p in changed if not _allowed(p, world)]
        assert outside == [], texts
    assert not Path(ELSEWHERE).exists()
    assert done or name in ("rate", "mark"), "no line of the table was carried out"


def _inside(path: str, world: World) -> bool:
    at = world.root / path
    own = [*world.targets, *(world.root / c for c in CACHES_OF_LIBRARIES)]
    return any(at == t or t in at.parents for t in own)


def _allowed(path: str, world: World) -> bool:
    if path in (os.devnull, "/dev/tty") or any(part in path for part in CACHES):
        return True
    own = [*world.targets, *(world.root / c for c in CACHES_OF_LIBRARIES), world.run]
    at = Path(path.removesuffix(".part"))  # written first, then renamed
    return any(at == t or t in at.parents or at in t.parents for t in own)


def _run(line: list[str], world: World) -> str | None:
    """Run a command; return its output, or None if it refused its input."""
    serves = len(line) == 3 or "--no-open" in line
    if line[0] in ("app", "edit", "view") and serves:
        return interrupted(line, world)
    result = CliRunner().invoke(app, line)
    error = result.exception
    assert error is None or isinstance(error, SystemExit | ValueError | OSError), line
    assert "Traceback" not in result.output
    for character in ("\x1b[2J", "\x1b]", "\u202e"):
        assert character not in result.output, line
    return None if isinstance(error, ValueError | OSError) else result.output
