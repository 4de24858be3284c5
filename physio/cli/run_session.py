"""Run of one session: its devices, sinks, view and figures, from start to end."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np

from physio.cli import session_folder
from physio.cli.output import say
from physio.core.affect import DIMENSIONS
from physio.core.block import Block, Origin, StreamInfo
from physio.core.events import Item
from physio.core.missing import MissingReason, missing_reason
from physio.core.operating_system import fine_timer
from physio.core.protocols import Clock, Device, FastClock, Sink, View
from physio.core.recording import computed
from physio.inference.agreement import Agreement
from physio.inference.baseline_use import BaselineObserver
from physio.inference.calibration import Calibration
from physio.inference.estimator import Estimator
from physio.inference.montage_adaptation import unplaced
from physio.inference.prior_only import prior_only_notes
from physio.online import personal_calibration
from physio.online.default_pipeline import unused_chains
from physio.online.engine import PipelineConfig
from physio.online.scheduling import realtime_priority
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.online.session_table import SessionTable
from physio.online.shipped_chains import chain_notes
from physio.sinks.background import BackgroundSink
from physio.sinks.channel_status import ChannelStatusFile
from physio.view.dashboard.sink import Dashboard, ServerProcess
from physio.view.labels import CONDITION, SCALE, condition_names, scale_names
from physio.view.threaded_view import ThreadedView

OWN_METADATA: Final = ("begin", "config", "ended", "warnings")
"""Metadata that each session writes anew."""

LATENCIES: Final = 400
"""Number of the newest compute times that a view shows."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Parameters
    ----------
    demo_weights
        Whether weights trained on simulated participants may answer on measured input.
    seconds
        Duration after which the session ends (s).
    poll
        Time between polls of the devices (s).
    view
        Function that creates the display of the session, if there is one.
    about
        Further metadata.
    calibrations
        Files of personal calibrations.
    baseline
        Begin and end of the participant's baseline (s after the beginning); by default
        markers of the session state it.
    notes
        Sentences of the reader of a recording, on what it does not read.
    pages
        Function called with each dashboard, before the devices open; returns a line
        that the view keeps in sight.
    server
        Server of the dashboard, if it was started before the session.
    on_progress
        Function called with the time up to which the session is computed (s).
    """

    demo_weights: bool = False
    seconds: float = np.inf
    poll: float = 0.02
    view: Callable[[Session], AbstractContextManager[View]] | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    calibrations: Sequence[Path] = ()
    baseline: tuple[float, float] | None = None
    notes: Sequence[str] = ()
    pages: Callable[[Dashboard], str] | None = None
    server: ServerProcess | None = None
    on_progress: Callable[[float], None] | None = None


@dataclass
class SessionOutcome:
    """Result of a session: its folder, how it ended, and its figures."""

    folder: Path
    ended: str
    figures: dict[str, Any]

    @property
    def status(self) -> int:
        """Exit status: 0, or 1 if the session failed or reported a fault."""
        return int(self.ended.startswith("failed") or bool(self.figures["faults"]))


def run_session(
    config: SessionConfig,
    devices: Sequence[Device],
    clock: Clock,
    folder: Path,
    options: RunOptions = RunOptions(),
) -> SessionOutcome:
    """Run a session, and complete its folder however the session ends.

    Parameters
    ----------
    config
        The session file.
    devices
        The devices, not open yet.
    clock
        The session clock.
    folder
        Folder of the session, which is there already.
    options
        Options of the run.
    """
    return _Run(config, clock, folder, options).run(devices)


class _Run:
    """One run of a session: see `run_session`."""

    def __init__(
        self, config: SessionConfig, clock: Clock, folder: Path, options: RunOptions
    ) -> None:
        self.config, self.clock = config, clock
        self.folder, self.options = folder, options
        self.fast = isinstance(clock, FastClock)
        about = {**_metadata(config), **options.about}
        self.about = {k: v for k, v in about.items() if k not in OWN_METADATA}
        self.calibrations, self.notes = _calibrations(options.calibrations)
        self.notes = [*options.notes, *self.notes]
        self.sinks: list[Sink] = []

    def run(self, devices: Sequence[Device]) -> SessionOutcome:
        """Run the session on these devices."""
        self.sinks = self._sinks()
        options = self.options
        if options.baseline is not None:
            guide = personal_calibration.baseline_prompts(
                *options.baseline, self.clock, lambda _: None
            )
            devices = [*devices, guide]
        self.session = session = Session(
            self._plan, devices, self.sinks, self.clock, options.poll, options.seconds
        )
        session.prepare = self.config.prepare
        session.on_waiting = self._announce_waiting
        began = time.perf_counter()
        with (
            self._pages() as lines,
            _StopOnSignal(session),
            fine_timer(),
            _compilation_announced(enabled=self.fast),
            session,
            self._display(session) as view,
            self._realtime() as refusals,
        ):
            self.notes += refusals
            self._describe(state="running")
            self.notes += personal_calibration.apply_calibrations(
                session, self.calibrations
            )
            observers, summary = _Observers(session), _Summary(session)
            table = SessionTable(session.streams)
            observers.add("the table of streams", table.take)
            observers.add("the count of estimates", summary.count)
            observers.add("the agreement with ratings", summary.compare)
            observers.add("the baseline", summary.baseline(self.resolved).take)
            if options.on_progress is not None:
                observers.add("the progress", _Progress(options.on_progress).take)
            if view is not None:
                observers.add("the view", view.take)
                for line in lines:
                    view.tell(line)
            for item in session:
                observers.take(item)
        figures = self._figures(summary, table, time.perf_counter() - began)
        try:
            self._describe(**figures)
        except OSError as error:
            figures["faults"].append(f"the session is not described: {error}")
        return SessionOutcome(self.folder, session.ended, figures)

    def _plan(self, streams: Sequence[StreamInfo]) -> PipelineConfig:
        """Return the computation on these streams, and take note of it."""
        plan = self.config.plan(streams, demo_weights=self.options.demo_weights)
        if (chosen := self.options.baseline) is not None:
            plan = personal_calibration.with_baseline(plan, chosen[1] - chosen[0])
        self.resolved = self.config.resolved(plan)
        self.about["config"] = json.dumps(self.resolved)
        self.about["begin"] = repr(self.session.begin)
        return plan

    def _sinks(self) -> list[Sink]:
        """Return the sinks, each in a thread of its own."""
        given = {
            "folder": self.folder,
            "about": self.about,
            "wait": self.fast,
            "clock": self.clock,
            "server": self.options.server,
        }
        sinks = self.config.sinks(given)
        if not self.fast:  # else `physio check` computes it faster from the recording
            sinks.append(ChannelStatusFile(self.folder))
        return [s if s.threaded else BackgroundSink(s, wait=self.fast) for s in sinks]

    @contextmanager
    def _display(self, session: Session) -> Iterator["_Shown | None"]:
        """Open the view; in a live session, a thread draws it."""
        if self.options.view is None:
            yield None
            return
        with self.options.view(session) as view:
            if self.fast:
                yield _Display(session, view)
                return
            with ThreadedView(
                view,
                session.clock,
                lambda: _latencies(session),
                lambda: session.computation.progress,
            ) as background:
                session.attach(background)
                yield background
        if (error := background.error) is not None:
            session.faults.append(f"the view stopped: {type(error).__name__}: {error}")

    def _realtime(self) -> AbstractContextManager[list[str]]:
        asked = self.config.session.realtime and not self.fast
        return realtime_priority(enabled=asked)

    def _describe(self, **figures: Any) -> None:
        """Write the description of the session into its folder."""
        about = {**self.about, **figures}
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        session_folder.describe(self.folder, self.resolved, **about)

    @contextmanager
    def _pages(self) -> Iterator[list[str]]:
        """Open the dashboards before the devices; yield a line on each."""
        boards = [sink for sink in self.sinks if isinstance(sink, Dashboard)]
        with ExitStack() as stack:
            for board in boards:
                stack.callback(board.cancel)
                board.start()
                board.show_progress("opening the devices")
            announce = self.options.pages
            yield [announce(board) for board in boards] if announce else []

    def _announce_waiting(self, names: Sequence[str]) -> None:
        text = f"waiting for {', '.join(names)}"
        say(text)
        for sink in self.sinks:
            if isinstance(sink, Dashboard):
                sink.show_progress(text)

    def _figures(
        self, summary: "_Summary", table: SessionTable, taken: float
    ) -> dict[str, Any]:
        """Return the figures of the session, as ``--json`` writes them."""
        session = self.session
        faults = [*session.faults, *(f for s in self.sinks for f in s.faults())]
        origin = session.engine.origin if session.engine else Origin.MEASURED
        unused = unused_chains(session.plan, origin)
        notes = chain_notes(session.streams) if self.config.computes else {}
        chains = {key: chain.streams for key, chain in session.plan.chains.items()}
        streams = table.rows(chains, notes, session.end)
        self._add_losses(streams)
        return {
            "streams": streams,
            **_durations(session, taken),
            **summary.estimates(),
            "baselines": summary.baselines(session.begin),
            "ended": session.ended,
            "state": session.ended.partition(":")[0].split()[0],
            "faults": faults,
            "notes": [*unused, *_weights_notes(session), *self.notes, *session.notes],
            "reports": summary.reports(),
        }

    def _add_losses(self, streams: list[dict[str, Any]]) -> None:
        """Add the number of samples that are not in the recording to each stream."""
        lost = Counter[str]()
        for sink in self.sinks:
            lost.update(sink.unwritten())
        for row in streams:
            row["not_recorded"] = n = lost[row["name"]]
            if n:
                row["faults"] = [
                    *row["faults"],
                    f"{n} of {row['samples']} samples are not in the recording",
                ]


class _Progress:
    """Calls a function with the time of the newest block, four times a second."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self.report, self.due = report, 0.0

    def take(self, item: Item) -> None:
        """Take note of an item."""
        now = time.perf_counter()
        if now >= self.due and isinstance(item, Block) and len(item):
            self.due = now + 0.25
            self.report(item.complete_until)


class _Observers:
    """Receivers of a session's items; a receiver that raises an error is removed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._receivers: dict[str, Callable[[Item], None]] = {}

    def add(self, name: str, take: Callable[[Item], None]) -> None:
        """Add a receiver; ``name`` begins the sentence on its failure."""
        self._receivers[name] = take

    def take(self, item: Item) -> None:
        """Pass an item on to every receiver."""
        for name, take in tuple(self._receivers.items()):
            try:
                take(item)
            except Exception as error:  # its bug must not end the session
                del self._receivers[name]
                description = f"{type(error).__name__}: {error}"
                self._session.faults.append(f"{name} stopped: {description}")


class _Display:
    """Display of a fast session, drawn in its thread, whose commands are executed."""

    def __init__(self, session: Session, view: View) -> None:
        self._session, self._view = session, view

    def take(self, item: Item) -> None:
        """Show an item; where the view is due, redraw it and take its commands."""
        session = self._session
        self._view.take(item, session.clock.now())
        if self._view.due():
            self._view.show(session.clock.now(), _latencies(session))
            session.serve(self._view)

    def tell(self, line: str) -> None:
        """Show a line and keep it in sight."""
        self._view.tell(line)


_Shown = ThreadedView | _Display


def _latencies(session: Session) -> list[float]:
    """Return the newest computation times (ms), also from another thread."""
    return [1e3 * s for s in list(islice(reversed(session.compute), LATENCIES))]


@dataclass
class EstimateCounts:
    """Number of estimates, of those with a value, and of the missing by reason."""

    rows: int = 0
    finite: Counter[str] = field(default_factory=Counter)
    missing: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, estimates: Block) -> None:
        """Count the rows of a block."""
        self.rows += len(estimates)
        info = estimates.info
        further = [*(f"{CONDITION}{n}" for n in condition_names(info)),
                   *(f"{SCALE}{n}" for n in scale_names(info))]  # fmt: skip
        for name in (*DIMENSIONS, *further):
            if name not in info.names:
                continue
            missing = self.missing.setdefault(name, Counter())
            for code in missing_reason(estimates.column(name)).tolist():
                if code:
                    missing[MissingReason(code).words] += 1
                else:
                    self.finite[name] += 1

    def merge(self, other: "EstimateCounts") -> None:
        """Add the counts of another participant."""
        self.rows += other.rows
        self.finite.update(other.finite)
        for name, missing in other.missing.items():
            self.missing.setdefault(name, Counter()).update(missing)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts of dimensions, conditions and named scales."""
        names = list(self.missing) or list(DIMENSIONS)
        reasons = [reason.words for reason in MissingReason]
        return {
            "rows": self.rows,
            "finite": {name: self.finite[name] for name in names},
            "missing": {
                name: {r: missing[r] for r in reasons if missing[r]}
                for name in names
                for missing in [self.missing.get(name, Counter())]
            },
        }


class _Summary:
    """Counts of estimates and their agreement with ratings, by participant."""

    def __init__(self, session: Session) -> None:
        self._several = session.plan.participants != ("",)
        codes = session.plan.participants
        self._counts = {code: EstimateCounts() for code in codes}
        self._agreements = {code: Agreement(participant=code) for code in codes}
        self._baselines = BaselineObserver({})

    def count(self, item: Item) -> None:
        """Count estimates."""
        if isinstance(item, Block) and computed(item.info.name) == "estimates":
            code = item.info.participant if self._several else ""
            self._counts[code].add(item)

    def compare(self, item: Item) -> None:
        """Compare ratings with estimates."""
        for agreement in self._agreements.values():
            agreement.take(item)

    def baseline(self, config: Mapping[str, Any]) -> BaselineObserver:
        """Return the observer of the baselines of a configuration."""
        self._baselines = BaselineObserver(config)
        return self._baselines

    def baselines(self, begin: float) -> list[str]:
        """Return a sentence on each baseline that served the estimates."""
        total = self.estimates()["estimates"]
        if not total["rows"]:
            return []
        return [use.sentence(begin) for use in self._baselines.uses()]

    def estimates(self) -> dict[str, Any]:
        """Return the counts of all participants, and of each of several."""
        total = EstimateCounts()
        for counts in self._counts.values():
            total.merge(counts)
        parts = {c: n.to_dict() for c, n in sorted(self._counts.items()) if n.rows}
        participants = {"participants": parts} if self._several and parts else {}
        return {"estimates": total.to_dict(), **participants}

    def reports(self) -> dict[str, Any]:
        """Return the agreement with ratings: see `Agreement.summary`."""
        parts = {code: a.summary() for code, a in self._agreements.items()}
        return parts if self._several else parts[""]


@contextmanager
def _compilation_announced(*, enabled: bool) -> Iterator[None]:
    """Print a line when the first kernel is compiled in this thread."""
    if not enabled:
        yield
        return
    from physio.dsp.jit import before_compilation

    lines = ["compiling kernels, once on this computer: up to some minutes"]
    with before_compilation(lambda: say(lines.pop()) if lines else None):
        yield


def _durations(session: Session, taken: float) -> dict[str, Any]:
    """Return the duration of the data, of the run, and of the computation."""
    newest = [h.received for h in session.health.values() if h.samples]
    compute = 1e3 * np.array(session.compute) if session.compute else np.full(1, np.nan)
    p50, p99 = np.percentile(compute, [50, 99]).tolist()
    return {
        "seconds_of_data": max(newest, default=session.begin) - session.begin,
        "seconds_taken": taken,
        "latency_ms": {"p50": p50, "p99": p99},
    }


def _weights_notes(session: Session) -> list[str]:
    """Return a sentence on each limit of the weights for these participants.

    Limits: electrodes that the weights cannot read, and estimates that are the prior.
    """
    notes: list[str] = []
    pipelines = session.engine.pipelines if session.engine else {}
    for participant, part in pipelines.items():
        estimator = session.plan.of(participant).estimator
        if isinstance(estimator, Estimator):
            notes += unplaced(estimator.experts, part.aligner.info.names)
            notes += prior_only_notes(estimator.experts)
    return list(dict.fromkeys(notes))


def _calibrations(paths: Sequence[Path]) -> tuple[list[Calibration], list[str]]:
    """Return the calibrations that can be read, and a sentence on each other."""
    calibrations: list[Calibration] = []
    notes: list[str] = []
    for path in paths:
        try:
            calibrations.append(Calibration.read(path))
        except (ValueError, OSError) as error:
            notes.append(f"without a calibration: {error}")
    return calibrations, notes


def _metadata(config: SessionConfig) -> dict[str, str]:
    return {
        "participant": config.session.participant,
        "consent": config.session.consent,
        "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "physio-affect": version("physio-affect"),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }


class _StopOnSignal:
    """Ends the session with its present step on Ctrl-C, SIGTERM and SIGHUP.

    After SIGHUP the terminal is gone, and all further output is dropped. A signal that
    is ignored, as under ``nohup``, stays ignored.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[signal.Signals, Any] = {}
        self._terminals: list[int] = []

    def __enter__(self) -> None:
        stops = [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
        if hasattr(signal, "SIGBREAK"):  # the window is closed, on Windows
            stops.append((signal.SIGBREAK, "Ctrl-Break"))
        for number, name in stops:
            self._before[number] = signal.signal(number, self._stop(name))
        hangup = getattr(signal, "SIGHUP", None)  # Windows has none
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            self._terminals = [file for file in range(3) if os.isatty(file)]
            self._before[hangup] = signal.signal(hangup, self._hang_up)

    def _stop(self, name: str) -> Callable[[int, FrameType | None], None]:
        return lambda _number, _frame: self._session.stop(f"interrupted by {name}")

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for file in self._terminals:
            os.dup2(nowhere, file)
        os.close(nowhere)
        self._session.stop("interrupted by SIGHUP")

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
