"""Features of a data set, one row per window, with the stages of live sessions."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio import config
from physio.core.block import Block
from physio.core.recording import Recording
from physio.datasets import feature_table
from physio.datasets.base import Dataset, Trial
from physio.offline import parallel, windowing
from physio.offline.compute import feature_ticks
from physio.online.engine import Engine, PipelineConfig
from physio.online.session_config import SessionConfig

_NONE: Final = {"use": "physio.core.stage:Chain"}
_CODE: Final = (
    *("core", "dsp", "features", "quality", "io", "datasets", "models"),
    *("inference", "online", "offline"),
)
"""Packages of the library whose code affects the rows of a table."""

_LIBRARIES: Final = ("numpy", "scipy", "numba", "pyarrow")


@dataclass(frozen=True)
class Windows:
    """Windows and chains of a table of features.

    Parameters
    ----------
    window, step
        Duration of a window, and time between the starts of two windows (s).
    min_valid
        Minimum fraction of valid values in a window; below it a feature is missing.
    tables
        Tables of a session file, of which ``chains`` and ``session`` are used; by
        default the default chains of each recording.
    trust
        Packages, beside this library, whose stages the chains may name.
    """

    window: float = 60.0
    step: float = 5.0
    min_valid: float = 0.5
    tables: Mapping[str, Any] = field(default_factory=dict)
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.window <= 0 or self.step <= 0:
            raise ValueError(
                f"a window and its hop last more than 0 s, not {self.window} and "
                f"{self.step}"
            )
        if not 0 < self.min_valid <= 1:
            raise ValueError(
                f"share must be above 0 and at most 1, not {self.min_valid}"
            )

    @property
    def file(self) -> SessionConfig:
        """Session file that computes features without estimates."""
        tables = {k: v for k, v in self.tables.items() if k in ("session", "chains")}
        return SessionConfig({**tables, "estimator": _NONE}, "extract", self.trust)


class ExtractionResult(NamedTuple):
    """Result of the extraction for one participant.

    ``rows`` is the number of rows and ``seconds`` the computing time. ``status`` is
    ``"done"``, ``"kept"`` (the file exists and is up to date), or ``"failed"``, with
    the reason in ``error``.
    """

    subject: str
    status: str
    rows: int = 0
    seconds: float = 0.0
    error: str = ""


def extract(
    dataset: Dataset,
    out: Path,
    settings: Windows,
    *,
    backend: str = "serial",
    on_progress: Callable[[ExtractionResult], None] | None = None,
) -> list[ExtractionResult]:
    """Write the feature table of a data set, one file per participant.

    Every backend gives the same table. A participant whose sources, settings and code
    are unchanged is not computed again. An error in one participant does not stop the
    others; the result of that participant contains the error.

    Parameters
    ----------
    dataset
        Data set, on a disk that every worker can read.
    out
        Folder of the table, on a disk that every worker can write.
    settings
        Windows and chains.
    backend
        Backend of the computation: see `physio.offline.parallel.run_jobs`.
    on_progress
        Callback that receives the result of each participant as soon as it is known.

    Raises
    ------
    ValueError
        If the settings fit no data set, or the backend is unknown.
    """
    trials: dict[str, list[Trial]] = {}
    for trial in dataset.trials():
        trials.setdefault(trial.subject, []).append(trial)
    settings.file  # noqa: B018 its faults are the user's, not a participant's
    out.mkdir(parents=True, exist_ok=True)
    for unfinished in out.glob(f"subject=*/*{feature_table.PART}"):
        unfinished.unlink()
    work = partial(_participant, dataset, tuple(trials), out, settings)
    outcomes = {}
    for outcome in parallel.run_jobs(work, list(trials.items()), backend):
        outcomes[outcome.subject] = outcome
        if on_progress is not None:
            on_progress(outcome)
    return [outcomes[subject] for subject in trials]


class Windowed:
    """Rows of successive recordings; recordings of the same streams share an engine.

    Parameters
    ----------
    settings
        Windows and chains.
    """

    def __init__(self, settings: Windows) -> None:
        self.settings = settings
        self._infos: tuple[Any, ...] = ()
        self._plan: PipelineConfig | None = None
        self._engine: Engine | None = None

    def plan(self, recording: Recording) -> PipelineConfig:
        """Return the computation on the streams of a recording."""
        infos = (recording.infos, recording.inputs)
        if self._plan is None or infos != self._infos:
            self._plan = self.settings.file.plan(recording.inputs)
            self._infos, self._engine = infos, None
        return self._plan

    def of(self, recording: Recording, trial: Trial | None = None) -> dict[str, Any]:
        """Return the rows of a recording: see `physio.datasets.feature_table`."""
        plan = self.plan(recording)
        source = windowing.source(recording, {r.stream for r in plan.chains.values()})
        ticks = self.ticks(recording)
        grid = windowing.WindowGrid.of(ticks, self.settings.window, self.settings.step)
        named = trial or Trial(ticks.info.participant)
        n = grid.n
        return {
            "session": np.full(n, named.session, object),
            "trial": np.full(n, named.trial, object),
            **windowing.labels(recording, grid),
            **windowing.place(source, grid),
            **windowing.values(ticks, grid, self.settings.min_valid),
        }

    def ticks(self, recording: Recording) -> Block:
        """Return the features at each tick, as in a live session.

        Raises
        ------
        ValueError
            If there are no features, or a chain fails.
        """
        plan = self.plan(recording)
        if self._engine is None:
            self._engine = Engine(plan, recording.infos, recording.begin)
        return feature_ticks(recording, plan, self._engine)


def of(
    recording: Recording, settings: Windows, trial: Trial | None = None
) -> dict[str, Any]:
    """Return the rows of a recording: see `physio.datasets.feature_table`."""
    return Windowed(settings).of(recording, trial)


def _participant(
    dataset: Dataset,
    participants: Sequence[str],
    out: Path,
    settings: Windows,
    job: tuple[str, Sequence[Trial]],
) -> ExtractionResult:
    """Write the file of a participant, unless an up-to-date file exists."""
    subject, trials = job
    began = time.monotonic()
    try:
        path = feature_table.path_of(out, subject)
        metadata = _metadata(dataset, participants, subject, settings)
        if _fingerprint(path) == metadata["fingerprint"]:
            return ExtractionResult(subject, "kept")
        first, windowed = dataset.load(trials[0]), Windowed(settings)
        plan = windowed.plan(first)
        source = windowing.source(first, {r.stream for r in plan.chains.values()}).info
        metadata = {
            **metadata,
            "config": settings.file.resolved(plan),
            feature_table.SOURCE: {"stream": source.name, "rate": str(source.rate)},
            "origin": source.origin.value,
        }
        with parallel.single_thread():
            rows = _rows(dataset, trials, first, windowed)
            n = feature_table.write(path, rows, metadata)
    except (ValueError, OSError, KeyError, TypeError, IndexError) as error:
        # A damaged file may raise any error; the other participants are still read.
        text = f"{type(error).__name__}: {error}"
        return ExtractionResult(subject, "failed", error=" ".join(text.split()))
    return ExtractionResult(subject, "done", n, time.monotonic() - began)


def _rows(
    dataset: Dataset, trials: Sequence[Trial], first: Recording, windowed: Windowed
) -> Iterator[dict[str, Any]]:
    for i, trial in enumerate(trials):
        yield windowed.of(dataset.load(trial) if i else first, trial)


def _metadata(
    dataset: Dataset, participants: Sequence[str], subject: str, settings: Windows
) -> dict[str, Any]:
    """Return the provenance of a participant's rows; the same for any engine."""
    about = {
        "dataset": dataset.name,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "subject": subject,
        "windows": config.describe(settings),
        "versions": {k: version(k) for k in ("physio-affect", *_LIBRARIES)},
        "code": source_fingerprint(),
        "sources": _sources(dataset, participants, subject),
    }
    if extensions := _extension_code(dataset, settings.trust):
        about["extensions"] = extensions
    mark = hashlib.sha256(repr(sorted(about.items())).encode()).hexdigest()
    return {**about, "fingerprint": mark}


def _fingerprint(path: Path) -> str:
    try:
        return str(feature_table.about(path).get("fingerprint", ""))
    except (ValueError, OSError):
        return ""


def _sources(
    dataset: Dataset, participants: Sequence[str], subject: str
) -> dict[str, str]:
    """Return the hash of each file that may contain a participant's signals.

    These are all files in the data set's folder except those named after another
    participant's code, as ``S2/...``, ``s02.dat``, ``S2_quest.csv``.
    """
    root = getattr(dataset, "root", None)
    if root is None:
        return {}
    root = Path(root)
    others = {p for p in participants if p != subject}
    hashes = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        parts = path.relative_to(root).parts
        if not any(_code_of(part) & others for part in parts):
            stat = path.stat()
            known = _hash(path, stat.st_size, stat.st_mtime_ns)
            hashes["/".join(parts)] = known
    return hashes


def _code_of(name: str) -> set[str]:
    """Return the participant codes that a file or folder name may begin with."""
    ends = [i for i, c in enumerate(name) if c in "_-. "]
    return {name, *(name[:i] for i in ends)}


@cache
def _hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 they are the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extension_code(dataset: Dataset, trust: tuple[str, ...]) -> dict[str, str]:
    """Return the hash of each package outside this library that rows depend on."""
    packages = {type(dataset).__module__.partition(".")[0], *trust}
    hashes = {}
    for package in sorted(packages - {"physio", "__main__"}):
        module = config.load_module(package, "extract", (package,))
        if module.__file__ is None:
            continue
        path = Path(module.__file__)
        whole = path.name == "__init__.py"
        digest = hashlib.sha256()
        for part in sorted(path.parent.rglob("*.py")) if whole else [path]:
            digest.update(part.read_bytes())
        hashes[package] = digest.hexdigest()
    return hashes


@cache
def source_fingerprint() -> str:
    """Return the fingerprint of the code that rows depend on."""
    return code_fingerprint(Path(str(files("physio"))))


def code_fingerprint(root: Path) -> str:
    """Return a hash of all code that the rows of a table depend on.

    Parameters
    ----------
    root
        The folder of the library.

    Raises
    ------
    FileNotFoundError
        If a package of `_CODE` does not exist: its changes would not be detected.
    """
    paths = [root / "config.py", root / "assets" / "chains.toml"]
    for name in _CODE:
        if not (root / name).is_dir():
            raise FileNotFoundError(
                f"there is no package {root / name}, but the rows of a table depend on "
                "it; correct the list of packages in physio.offline.extract"
            )
        paths += sorted((root / name).rglob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
