"""Simulated people who wear everything: made once, kept, read again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Info
from physio.core.events import Events
from physio.core.reason import Reason
from physio.core.recording import Recording
from physio.train import rows
from physio.train.simulated import record

CHAINS: Final[Mapping[str, str]] = {
    "eeg": "head.eeg",
    "skin": "band.eda",
    "heart": "band.bvp",
    "motion": "band.acc",
    "temperature": "band.temp",
    "heart2": "chest.ecg",
}
"""Which stream each chain reads, by the names that a session gives them."""


class Simulant(NamedTuple):
    """A simulated person: features at each tick and what was felt, at 4 Hz.

    ``x``: features, prepared nowhere, shape (n, f), in the order of ``names``;
    ``felt``: valence, arousal and dominance, shape (n, 3); ``said``: of each condition
    when it ended (s) and what was rated of it, shape (k, 4).
    """

    seed: int
    names: tuple[str, ...]
    x: Array
    felt: Array
    said: Array


@dataclass(frozen=True)
class Crowd:
    """Simulated people of one kind.

    Parameters
    ----------
    devices
        What each wears, by name: dataclasses with ``seed``, ``seconds``, ``protocol``,
        ``clock``; the first has the truth.
    chains
        Which stream each chain reads; digits at the end of a chain's name count those
        of one kind.
    seconds
        How long each is recorded (s).
    cycle
        How long the protocol takes (s); at 0 all of the time.
    store
        Folder in which people are kept once they are made; none by default.
    """

    devices: Mapping[str, Any]
    chains: Mapping[str, str] = field(default_factory=lambda: dict(CHAINS))
    seconds: float = 600.0
    cycle: float = 0.0
    store: Path | None = None

    def person(self, seed: int) -> Simulant:
        """Return the person of a seed, made now or read."""
        path = self._path(seed)
        if path is not None and path.is_file():
            with np.load(path) as kept:
                names = tuple(kept["names"].tolist())
                parts = (kept[k].astype(np.float64) for k in ("x", "felt", "said"))
                return Simulant(seed, names, *parts)
        # What is read is what was made: both to the precision in which it is kept.
        made = self._made(seed)
        made = made._replace(x=_kept(made.x), felt=_kept(made.felt))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(
                path,
                names=np.array(made.names),
                x=made.x.astype(np.float32),
                felt=made.felt.astype(np.float32),
                said=made.said,
            )
        return made

    @cached_property
    def info(self) -> Info:
        """The stream of features of a person."""
        short = replace(self, seconds=8.0, store=None)
        return rows.features(short.recording(0), self.chains).info

    def block(
        self, person: Simulant, every: float, *, without: tuple[str, ...]
    ) -> Block:
        """Return a person's features as a session would have them, each ``every`` s.

        Those of the chains named in ``without`` are missing, as from devices that are
        not there.
        """
        step = round(every * 4)
        info = replace(self.info, rate=Fraction(4, step))
        t = np.arange(0, len(person.x), step) / 4
        data = np.empty((len(t), len(info.channels)))
        for i, channel in enumerate(info.channels):
            chain = channel.name.partition(".")[0]
            if chain in without:
                data[:, i] = Reason.NO_SIGNAL.nan
            elif channel.name in person.names:
                data[:, i] = person.x[::step, person.names.index(channel.name)]
            else:
                data[:, i] = t
        return Block(info, 0, 0.0, data)

    def recording(self, seed: int) -> Recording:
        """Return all that the devices on a person send."""
        streams: dict[str, tuple[Block, ...]] = {}
        events: dict[str, Events] = {}
        for name, device in self.devices.items():
            worn = replace(device, seed=seed, cycle=self.cycle)
            one = record(worn, self.seconds, name)
            streams |= one.streams
            events |= one.events
        return Recording(streams, events)

    def _made(self, seed: int) -> Simulant:
        recording = self.recording(seed)
        found = rows.features(recording, self.chains)
        front = next(iter(self.devices))
        truth = recording.streams[f"{front}.truth"]
        felt = np.concatenate([b.data for b in truth])
        at = np.concatenate([b.times for b in truth])
        ticks = np.minimum(np.searchsorted(at, found.times), len(at) - 1)
        rated = recording.events.get(f"{front}.ratings")
        said = np.empty((0, 4))
        if rated is not None:
            said = np.column_stack([rated.times, rated.data])
        kept = [
            i
            for i, c in enumerate(found.info.channels)
            if not c.name.endswith((".from", ".to")) and c.kind != "quality"
        ]
        names = tuple(found.info.names[i] for i in kept)
        return Simulant(seed, names, found.data[:, kept], felt[ticks], said)

    def _path(self, seed: int) -> Path | None:
        if self.store is None:
            return None
        told = repr((sorted(self.chains.items()), self.seconds, self.cycle))
        told += repr({k: repr(v) for k, v in self.devices.items()})
        mark = hashlib.sha256(told.encode()).hexdigest()[:12]
        return self.store / mark / f"{seed}.npz"


def _kept(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)
