"""One session from its first sample to its picture."""

import json
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from physio.cli import session_folder
from physio.core.block import Block
from physio.core.events import Item
from physio.core.missing import MissingReason, missing_reason
from physio.core.protocols import Clock, Device, FastClock, Sink
from physio.inference.agreement import Agreement
from physio.inference.calibration import Calibration
from physio.inference.montage_adaptation import unplaced
from physio.online import personal_calibration
from physio.online.engine import PipelineConfig
from physio.online.scheduling import realtime_priority
from physio.online.session import Session
from physio.online.session_config import SessionConfig, unused_chains
from physio.sinks.background import BackgroundSink
from physio.sinks.channel_status import ChannelStatusFile
from physio.sinks.xdf import Xdf
from physio.view.dashboard.sink import Dashboard

OURS = ("begin", "config", "ended", "warnings")  # said of each session anew
AFFECT = ("valence", "arousal", "dominance")


class View(Protocol):
    """Shows a session while it runs."""

    def take(self, item: Item, now: float | None = None) -> None: ...
    def due(self) -> bool: ...
    def show(self, now: float, latency_ms: Sequence[float]) -> None: ...
    def keys(self) -> list[str]: ...
    def tell(self, line: str) -> None: ...


@dataclass
class Outcome:
    """What a session left."""

    folder: Path
    ended: str
    figures: dict[str, Any]

    @property
    def status(self) -> int:
        """0, or 1 if the session ran and found a fault."""
        return int(self.ended.startswith("failed") or bool(self.figures["faults"]))


def conduct(
    file: SessionConfig,
    devices: Sequence[Device],
    clock: Clock,
    out: Path,
    *,
    demo_weights: bool = False,
    seconds: float = np.inf,
    poll: float = 0.02,
    view: Callable[[Session], AbstractContextManager[View]] | None = None,
    about: dict[str, str] | None = None,
    calibrations: Sequence[Path] = (),
    pages: Callable[[Dashboard], str] | None = None,
) -> Outcome:
    """Run a session and leave its folder whole, however it ends.

    ``pages`` hears of a dashboard, and returns a line to keep in sight.
    """
    known, unusable = _known(calibrations)
    about = {**_about(file), **(about or {})}
    about = {k: v for k, v in about.items() if k not in OURS}
    plans: list[PipelineConfig] = []

    def plan(streams: Any) -> PipelineConfig:
        plans.append(file.plan(streams, demo_weights=demo_weights))
        tables = file.resolved(plans[0])
        about["config"] = json.dumps(tables)
        about["begin"] = repr(session.begin)
        return plans[0]

    wait = isinstance(clock, FastClock)
    given = {"folder": out, "about": about, "wait": wait, "clock": clock}
    live = (
        () if wait else (ChannelStatusFile(out),)
    )  # else `physio check` has it faster
    sinks = [_behind(s, wait) for s in (*file.sinks(given), *live)]
    session = Session(plan, devices, sinks, clock, poll, seconds)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    agreements: dict[str, Agreement] = {}
    began = time.perf_counter()
    with (
        _stoppable(session),
        session,
        view(session) if view else nullcontext() as shown,
        realtime_priority(asked=file.session.realtime and not wait) as refused,
    ):
        unusable += refused
        session_folder.describe(out, file.resolved(plans[0]), **about, state="running")
        unusable += personal_calibration.apply_calibrations(session, known)
        for who in session.plan.participants:
            name = f"estimates.{who}".rstrip(".")
            agreements[who] = Agreement(name=name, participant=who)
        for board in (s for s in sinks if isinstance(s, Dashboard)):
            line = pages(board) if pages is not None else ""
            if shown is not None:
                shown.tell(line)
        for item in session:
            for agreement in agreements.values():
                agreement.take(item)
            what, _, participant = item.info.name.partition(".")
            if isinstance(item, Block) and what == "estimates":
                counts[participant].update(_count(item))
            if shown is not None and not _show(session, shown, item):
                shown = None
    faults = [*session.faults, *(f for s in sinks if (f := _fault(s)))]
    figures = _figures(session, counts, faults, time.perf_counter() - began)
    idle = unused_chains(plans[0], session.engine.origin)
    figures["notes"] = [*idle, *_unplaced(session), *unusable]
    figures["reports"] = _reported(agreements)
    session_folder.describe(out, file.resolved(plans[0]), **{**about, **figures})
    return Outcome(out, session.ended, figures)


def _unplaced(session: Session) -> list[str]:
    """Return a sentence on electrodes that no weights can read, of everybody once."""
    found = []
    for participant, part in session.engine.pipelines.items():
        experts = getattr(session.plan.of(participant).estimator, "experts", ())
        found += unplaced([e.weights for e in experts], part.aligner.info.names)
    return list(dict.fromkeys(found))


def _known(paths: Sequence[Path]) -> tuple[list[Calibration], list[str]]:
    """Return the calibrations that can be read, and a sentence on each other."""
    found, said = [], []
    for path in paths:
        try:
            found.append(Calibration.read(path))
        except (ValueError, OSError) as error:
            said.append(f"without a calibration: {error}")
    return found, said


def _reported(agreements: dict[str, Agreement]) -> dict[str, Any]:
    """Return how estimates agree with what participants reported, where they did."""
    told = {who: a.told() for who, a in agreements.items()}
    return told.get("", told) if set(told) == {""} else told


def _show(session: Session, view: View, item: Item) -> bool:
    """Have an item shown; tell whether the view can go on. The session does anyhow."""
    try:
        _shown(session, view, item)
    except Exception as error:
        session.faults.append(f"the view stopped: {type(error).__name__}: {error}")
        return False
    return True


def _shown(session: Session, view: View, item: Item) -> None:
    view.take(item, session.clock.now())
    if not view.due():
        return
    view.show(
        session.clock.now(), [1e3 * s for s in islice(reversed(session.compute), 400)]
    )
    pressed = view.keys()
    for key in pressed:
        if key == "quit":
            session.stop("completed: stopped by key")
        else:
            session.mark(key)


def _behind(sink: Sink, wait: bool) -> Sink:
    """Put a sink behind a thread of its own, except those that have one."""
    return (
        sink if isinstance(sink, Xdf | Dashboard) else BackgroundSink(sink, wait=wait)
    )


def _fault(sink: Sink) -> str:
    """Return what a sink that lags behind could not do."""
    if isinstance(sink, Xdf):
        return sink.fault
    if not isinstance(sink, BackgroundSink):
        return ""
    name = type(sink.sink).__name__
    if sink.fault is not None:
        return f"{name} stopped: {sink.fault}"
    return f"{name} was too slow: {sink.dropped} items dropped" if sink.dropped else ""


def _about(file: SessionConfig) -> dict[str, str]:
    return {
        "participant": file.session.participant,
        "consent": file.session.consent,
        "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "physio-affect": version("physio-affect"),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }


def _figures(
    session: Session, counts: dict[str, Counter[str]], faults: list[str], taken: float
) -> dict[str, Any]:
    """Return what ``--json`` holds."""
    times = [h.received for h in session.health.values() if h.samples]
    lasted = max(times, default=session.begin) - session.begin
    compute = 1e3 * np.array(session.compute) if session.compute else np.full(1, np.nan)
    p50, p99 = np.percentile(compute, [50, 99]).tolist()
    participants = {code: _answers(c) for code, c in sorted(counts.items()) if code}
    return {
        "streams": [
            {
                "name": name,
                "rate": float(h.info.rate),
                "samples": h.samples,
                "lost": h.lost,
            }
            for name, h in session.health.items()
        ],
        "seconds_of_data": lasted,
        "seconds_taken": taken,
        "estimates": _answers(sum(counts.values(), Counter())),
        **({"participants": participants} if participants else {}),
        "latency_ms": {"p50": p50, "p99": p99},
        "ended": session.ended,
        "state": session.ended.partition(":")[0].split()[0],
        "faults": faults,
    }


def _answers(counts: Counter[str]) -> dict[str, Any]:
    """Return how many estimates there are, and why others are missing."""
    return {
        "rows": counts["rows"],
        "finite": {name: counts[name] for name in AFFECT},
        "missing": {
            name: {
                reason.words: counts[f"{name}.{reason.words}"]
                for reason in MissingReason
                if counts[f"{name}.{reason.words}"]
            }
            for name in AFFECT
        },
    }


def _count(estimates: Block) -> Counter[str]:
    """Return how many rows a block has, how many are numbers, and why the rest not."""
    counts: Counter[str] = Counter(rows=len(estimates))
    for name in AFFECT:
        if name not in estimates.info.names:
            continue
        for code in missing_reason(estimates.column(name)).tolist():
            counts[f"{name}.{MissingReason(code).words}" if code else name] += 1
    return counts


class _stoppable:  # noqa: N801 reads as a word in a with statement
    """Ctrl-C and SIGTERM end the session with its present step."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
            self._before[number] = signal.signal(number, self._stop(name))

    def _stop(self, name: str) -> Callable[[int, FrameType | None], None]:
        return lambda _number, _frame: self._session.stop(f"interrupted by {name}")

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
