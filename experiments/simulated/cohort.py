"""Simulated participants with all devices, computed once and stored."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from experiments.weights import live_features
from experiments.weights.demo import record
from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason
from physio.core.recording import Recording

CHAINS: Final[Mapping[str, str]] = {
    "eeg": "head.eeg",
    "eda": "band.eda",
    "prv": "band.bvp",
    "motion": "band.acc",
    "temperature": "band.temp",
    "heart2": "chest.ecg",
    "resp": "chest.resp",
}
"""Input stream of each chain, named as in a session."""

TRUTH: Final = "truth"
"""Columns stored for a participant beside the features of each chain."""


class SimulatedParticipant(NamedTuple):
    """Features and true affect of a simulated participant, at 4 Hz.

    ``x``: raw features, shape (n, f), in the order of ``names``; ``felt``: true
    valence, arousal and dominance, shape (n, 3); ``ratings``: for each condition its
    end (s) and its three ratings, shape (k, 4).
    """

    seed: int
    names: tuple[str, ...]
    x: Array
    felt: Array
    ratings: Array


@dataclass(frozen=True)
class SimulatedCohort:
    """Simulated participants of one kind.

    Parameters
    ----------
    devices
        Devices of each participant, by name: dataclasses with ``seed``, ``seconds``,
        ``protocol``, ``clock``; the first one has the true affect.
    chains
        Input stream of each chain; digits at the end of a chain's name number the
        chains of one kind.
    seconds
        Duration of each recording (s).
    cycle
        Duration of the protocol (s); 0 for the whole recording.
    store
        Folder that stores the computed features of each participant and chain, under a
        hash of the settings of the device and the stages; none by default. After a
        change of a stage's code, delete the folder of its chain.
    """

    devices: Mapping[str, Any]
    chains: Mapping[str, str] = field(default_factory=lambda: dict(CHAINS))
    seconds: float = 600.0
    cycle: float = 0.0
    store: Path | None = None

    def participant(self, seed: int) -> SimulatedParticipant:
        """Return the participant of a seed, computed or read."""
        parts = {name: self._read(name, seed) for name in (*self.chains, TRUTH)}
        if lacking := [name for name, part in parts.items() if part is None]:
            recording = self.recording(seed, lacking)
            for name in lacking:
                parts[name] = self._keep(name, seed, self._compute(name, recording))
        whole = {name: part for name, part in parts.items() if part is not None}
        felt, ratings = whole[TRUTH]["felt"], whole[TRUTH]["ratings"]
        parts_by_chain = [whole[chain] for chain in self.chains]
        n = min(len(felt), *(len(part["x"]) for part in parts_by_chain))
        names = tuple(str(name) for part in parts_by_chain for name in part["names"])
        x = np.hstack([part["x"][:n] for part in parts_by_chain])
        return SimulatedParticipant(
            seed, names, x.astype(np.float64), felt[:n].astype(np.float64), ratings
        )

    @cached_property
    def info(self) -> StreamInfo:
        """The stream of features of a participant."""
        short = replace(self, seconds=8.0, store=None)
        return live_features.features(short.recording(0), self.chains).info

    def block(
        self,
        participant: SimulatedParticipant,
        every: float,
        *,
        without: tuple[str, ...],
    ) -> Block:
        """Return a participant's features as in a session, one row each ``every`` s.

        Features of the chains named in ``without`` are missing, as from absent devices.
        """
        step = round(every * 4)
        info = replace(self.info, rate=Fraction(4, step))
        t = np.arange(0, len(participant.x), step) / 4
        data = np.empty((len(t), len(info.channels)))
        for i, channel in enumerate(info.channels):
            chain = channel.name.partition(".")[0]
            if chain in without:
                data[:, i] = MissingReason.NO_SIGNAL.nan
            elif channel.name in participant.names:
                data[:, i] = participant.x[
                    ::step, participant.names.index(channel.name)
                ]
            else:
                data[:, i] = t
        return Block(info, 0, 0.0, data)

    def recording(self, seed: int, chains: Sequence[str] = ()) -> Recording:
        """Return the input streams of some chains, or of all devices."""
        front = next(iter(self.devices))
        used = {self.chains.get(c, front).partition(".")[0] for c in chains}
        streams: dict[str, tuple[Block, ...]] = {}
        events: dict[str, Events] = {}
        for name, device in self.devices.items():
            if used and name not in used:
                continue
            worn = replace(device, seed=seed, cycle=self.cycle)
            recorded = record(worn, self.seconds, name)
            streams |= recorded.streams
            events |= recorded.events
        return Recording(streams, events)

    def _compute(self, name: str, recording: Recording) -> dict[str, Any]:
        """Return a chain's features, or true affect, in the stored precision."""
        if name == TRUTH:
            return self._truth(recording)
        rows = live_features.features(recording, {name: self.chains[name]})
        columns = [
            i
            for i, c in enumerate(rows.info.channels)
            if not c.name.endswith((".window_start", ".window_end"))
            and c.kind != "quality"
        ]
        names = np.array([rows.info.names[i] for i in columns])
        return {"names": names, "x": rows.data[:, columns].astype(np.float32)}

    def _truth(self, recording: Recording) -> dict[str, Any]:
        """Return true affect at each tick, and the ratings."""
        front = next(iter(self.devices))
        truth = recording.streams[f"{front}.truth"]
        felt = np.concatenate([b.data for b in truth])
        at = np.concatenate([b.times for b in truth])
        ticks = recording.begin + np.arange(int(self.seconds * 4)) / 4
        nearest = np.minimum(np.searchsorted(at, ticks), len(at) - 1)
        rated = recording.events.get(f"{front}.ratings")
        ratings = np.empty((0, 4))
        if rated is not None:
            ratings = np.column_stack([rated.times, rated.data])
        return {"felt": felt[nearest].astype(np.float32), "ratings": ratings}

    def _read(self, name: str, seed: int) -> dict[str, Any] | None:
        path = self._path(name, seed)
        if path is None or not path.is_file():
            return None
        with np.load(path) as archive:
            return {k: archive[k] for k in archive.files}

    def _keep(self, name: str, seed: int, part: dict[str, Any]) -> dict[str, Any]:
        path = self._path(name, seed)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **part)
        return part

    def _path(self, name: str, seed: int) -> Path | None:
        """Return the file of a part of a participant, by the settings of its chain."""
        if self.store is None:
            return None
        stream = self.chains.get(name, f"{next(iter(self.devices))}.truth")
        device = self.devices[stream.partition(".")[0]]
        stages = (
            live_features.shipped_chain(name.rstrip("0123456789"))
            if name != TRUTH
            else ()
        )
        settings = repr((stream, device, self.seconds, self.cycle, stages))
        mark = hashlib.sha256(settings.encode()).hexdigest()[:8]
        return self.store / f"{name}-{mark}" / f"{seed}.npz"
