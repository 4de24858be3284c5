"""Features of labelled recordings at each tick, exactly as a session computes them."""

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item
from physio.core.recording import (
    BASELINE_START,
    MARKERS,
    Recording,
    base_name,
    baseline_marker,
)
from physio.datasets.base import ConditionSpan
from physio.offline.compute import feature_ticks
from physio.offline.extract import Windowed, Windows, source_fingerprint
from physio.online.engine import Engine, PipelineConfig, run
from physio.online.shipped_chains import device_name
from physio.training.code_marks import trusted_code
from physio.training.recording_labels import labelled_spans
from physio.training.sources import RecordingEntry, participant_of

_BEGIN, _END = 1.0, 2.0
_ENDS: Final = (".window_start", ".window_end")


class LabelledTicks(NamedTuple):
    """Features and labels of one recording.

    Parameters
    ----------
    dataset, participant, session, trial
        Names of the recording.
    rows
        Features at each tick, ``<chain>.<feature>``.
    edges
        1 at the first tick after the marker of a baseline's begin, 2 after that of its
        end, 0 elsewhere, shape (n,).
    spans
        The labelled spans: see `physio.training.recording_labels.labelled_spans`.
    device
        Names of the devices.
    """

    dataset: str
    participant: str
    session: str
    trial: str
    rows: Block
    edges: Array
    spans: tuple[ConditionSpan, ...]
    device: str = ""

    @property
    def name(self) -> str:
        """Name of the recording."""
        parts = (self.dataset, self.participant, self.session, self.trial)
        return " ".join(part for part in parts if part)

    @property
    def seconds(self) -> float:
        """Duration (s)."""
        return len(self.rows) / float(self.rows.info.rate)


class MarkedEngine(Engine):
    """Engine that notes the tick before which each marker of a baseline arrived.

    `edges` are pairs of the number of ticks so far and 1 (begin) or 2 (end): a marker
    counts from the next tick on, as for `physio.inference.estimator.Estimator`.
    """

    def __init__(self, plan: PipelineConfig, recording: Recording) -> None:
        super().__init__(plan, recording.infos, recording.begin)
        self.edges: list[tuple[int, float]] = []
        self._ticks = 0

    def push(self, item: Item) -> list[Item]:
        """Process an item; return the output now due."""
        if isinstance(item, Events) and base_name(item.info.name) == MARKERS:
            for label in item.labels:
                if edge := baseline_marker(label):
                    kind = _BEGIN if edge == BASELINE_START else _END
                    self.edges.append((self._ticks, kind))
        output = super().push(item)
        self._ticks += sum(len(i) for i in output if i.info.name == "features")
        return output


class TickReader:
    """Reader of recordings, which stores the features of each in a folder.

    A recording whose files, chains and code are unchanged is not computed again, so
    that a run that was stopped resumes.

    Parameters
    ----------
    tables
        Tables of a session file, of which ``chains`` and ``session`` are used; by
        default the default chains of each recording.
    store
        Folder of the stored features; None for none.
    trust
        Packages, beside this library, whose stages the chains may name.
    lookback
        Duration of the past that a self-report refers to (s).
    """

    def __init__(
        self,
        tables: Mapping[str, Any],
        store: Path | None,
        trust: tuple[str, ...] = (),
        lookback: float = 30.0,
    ) -> None:
        self._windowed = Windowed(Windows(tables=tables, trust=trust))
        self._store, self._lookback = store, lookback
        self._mark = repr(
            (tables, trust, lookback, source_fingerprint(), trusted_code(trust))
        )

    def stored(self, entry: RecordingEntry) -> bool:
        """Return whether the features of a recording are stored and up to date."""
        path = self._path(entry)
        return path is not None and path.is_file()

    def plan(self, recording: Recording) -> PipelineConfig:
        """Return the computation on a recording."""
        return self._windowed.plan(recording)

    def read(self, entry: RecordingEntry) -> LabelledTicks:
        """Return the features and labels of a recording, computed or stored.

        Raises
        ------
        ValueError
            If the recording cannot be read, has several participants, or no chain reads
            any of its streams.
        """
        path = self._path(entry)
        if path is not None and path.is_file():
            return _loaded(path)
        recording = entry.load()
        participant = participant_of(entry, recording)
        rows, edges = self._ticks(recording)
        devices = dict.fromkeys(device_name(i) for i in recording.inputs if i.rate)
        ticks = LabelledTicks(
            entry.dataset, participant, entry.session, entry.trial,
            _features(rows), edges, labelled_spans(recording, self._lookback),
            " + ".join(devices),
        )  # fmt: skip
        if path is not None:
            _save(path, ticks)
        return ticks

    def _ticks(self, recording: Recording) -> tuple[Block, Array]:
        """Return all columns at each tick, and the edges of baselines."""
        marked = any(
            baseline_marker(label)
            for name, events in recording.events.items()
            if base_name(name) == MARKERS
            for label in events.labels
        )
        if not marked:
            rows = self._windowed.ticks(recording)
            return rows, np.zeros(len(rows))
        plan = self._windowed.plan(recording)
        engine = MarkedEngine(plan, recording)
        items = run(recording, plan, engine=engine)
        blocks = [
            i for i in items if isinstance(i, Block) and i.info.name == "features"
        ]
        if not blocks:
            return feature_ticks(recording, plan), np.empty(0)
        data = np.concatenate([b.data for b in blocks])
        rows = Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)
        edges = np.zeros(len(rows))
        for tick, kind in engine.edges:
            edges[tick : tick + 1] = kind
        return rows, edges

    def _path(self, entry: RecordingEntry) -> Path | None:
        if self._store is None:
            return None
        text = self._mark + entry.fingerprint()
        return self._store / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.npz"


def _features(rows: Block) -> Block:
    """Return the columns that models may read, in single blocks of numbers."""
    selected = [
        i
        for i, c in enumerate(rows.info.channels)
        if not c.name.endswith(_ENDS)
        and not c.name.startswith("wear.")
        and c.kind != "quality"
    ]
    channels = (rows.info.channels[i] for i in selected)
    info = rows.info.with_channels(None, *channels)
    return Block(
        info, rows.start, rows.t0, np.ascontiguousarray(rows.data[:, selected])
    )


def _save(path: Path, ticks: LabelledTicks) -> None:
    """Write features and labels, all or nothing."""
    rows = ticks.rows
    about = {
        "names": [ticks.dataset, ticks.participant, ticks.session, ticks.trial],
        "rate": str(rows.info.rate),
        "origin": rows.info.origin.value,
        "channels": [[c.name, c.memory, c.unit] for c in rows.info.channels],
        "device": ticks.device,
        "start": rows.start,
        "t0": rows.t0,
        "spans": [[s.name, s.begin, s.end, dict(s.answers)] for s in ticks.spans],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, data=rows.data, edges=ticks.edges, about=json.dumps(about))
    part.replace(path)


def _loaded(path: Path) -> LabelledTicks:
    with np.load(path, allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
        data, edges = archive["data"], archive["edges"]
    channels = tuple(Channel(n, unit=u, memory=m) for n, m, u in about["channels"])
    info = StreamInfo(
        "features", Fraction(about["rate"]), channels, Origin(about["origin"]),
        about["names"][1],
    )  # fmt: skip
    spans = tuple(
        ConditionSpan(n, b, e, answers) for n, b, e, answers in about["spans"]
    )
    block = Block(info, about["start"], about["t0"], data)
    dataset, participant, session, trial = about["names"]
    names = dataset, participant, session, trial
    return LabelledTicks(*names, block, edges, spans, about.get("device", ""))
