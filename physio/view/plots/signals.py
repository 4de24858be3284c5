"""The signals of a session that participants look for first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from physio.core.block import Array, Block, Channel
from physio.core.recording import Recording
from physio.view.plots.envelope import envelope, whole
from physio.view.plots.time_axes import INK, shown

_CENTRAL: Final = ("Cz", "Fz", "Pz", "AFz", "FCz", "CPz")
"""Which EEG channel stands for all, the first of these that is there."""


@dataclass(frozen=True)
class Panel:
    """One signal of a session: what it is called, how it is drawn, and how high."""

    title: str
    draw: Callable[[Axes], None]
    height: float = 1.0


def signals(recording: Recording, features: Block | None) -> list[Panel]:
    """Return the panels of the signals that participants look for first."""
    found = []
    if eeg := _first(recording, lambda c: c.kind == "eeg"):
        found.append(_raw(recording, *eeg, 1.2))
    skin = _first(recording, lambda c: c.kind == "gsr")
    tonic = _column(features, lambda c: c.unit == "uS" and "tonic" in c.name)
    if skin or tonic:
        found.append(_skin(recording, skin, features, tonic))
    beats = _beats(features)
    if features is not None and beats:
        found.append(Panel("Heart rate\n1/min", _line(features, beats, "#AA3377")))
    elif pulse := _first(recording, lambda c: c.kind in ("bio", "ecg")):
        found.append(_raw(recording, *pulse, 1.0))
    moved = _column(features, lambda c: c.unit == "g")
    if features is not None and moved:
        found.append(Panel("Movement\ng", _line(features, moved, "#555555"), 0.7))
    elif acc := _first(recording, lambda c: c.unit == "g"):
        found.append(_acceleration(recording, acc[0]))
    return found


def _first(
    recording: Recording, wanted: Callable[[Channel], bool]
) -> tuple[str, int] | None:
    """Return the stream and the number of a channel of a raw stream."""
    for name, blocks in recording.streams.items():
        found = [i for i, c in enumerate(blocks[0].info.channels) if wanted(c)]
        if found and name != "features" and any(map(len, blocks)):
            names = blocks[0].info.names
            central = [names.index(n) for n in _CENTRAL if n in names]
            return name, next((i for i in central if i in found), found[0])
    return None


def _column(features: Block | None, wanted: Callable[[Channel], bool]) -> str:
    if features is None:
        return ""
    return next((c.name for c in features.info.channels if wanted(c)), "")


def _beats(features: Block | None) -> str:
    """Return the heart rate: breaths and skin responses have a rate as well."""

    def wanted(channel: Channel) -> bool:
        chain, _, what = channel.name.rpartition(".")
        beside = features is not None and f"{chain}.rmssd" in features.info.names
        return what == "rate" and (beside or "heart" in chain)

    return _column(features, wanted)


def _raw(recording: Recording, stream: str, i: int, height: float) -> Panel:
    blocks = recording.streams[stream]
    channel = blocks[0].info.channels[i]
    centred = channel.kind in ("eeg", "bio", "ecg")

    def draw(ax: Axes) -> None:
        times, data = whole(blocks)
        values = data[:, i]
        if centred and np.isfinite(values).any():
            values = values - np.nanmedian(values)
        ax.plot(*envelope(times, values), color=INK, lw=0.6)
        _within(ax, values)

    kind = {"eeg": "EEG ", "ecg": "ECG ", "bio": "Pulse "}.get(channel.kind, "")
    name = "" if kind and channel.kind != "eeg" else channel.name
    unit = shown(channel.unit)
    return Panel(f"{kind}{name}".strip() + (f"\n{unit}" if unit else ""), draw, height)


def _acceleration(recording: Recording, stream: str) -> Panel:
    def draw(ax: Axes) -> None:
        blocks = recording.streams[stream]
        times, data = whole(blocks)
        axes = [i for i, c in enumerate(blocks[0].info.channels) if c.unit == "g"]
        size = np.sqrt(np.sum(data[:, axes] ** 2, axis=1))
        ax.plot(*envelope(times, size), color="#555555", lw=0.6)

    return Panel("Movement\ng", draw, 0.7)


def _skin(
    recording: Recording,
    raw: tuple[str, int] | None,
    features: Block | None,
    tonic: str,
) -> Panel:
    def draw(ax: Axes) -> None:
        if raw is not None:
            times, data = whole(recording.streams[raw[0]])
            ax.plot(*envelope(times, data[:, raw[1]]), color=INK, lw=0.8)
        if features is not None and tonic:
            _line(features, tonic, "#CC79A7")(ax)
            ax.lines[-1].set_label("tonic")
            ax.legend(loc="upper right", fontsize=7, frameon=False)

    return Panel(f"Skin cond.\n{shown('uS')}", draw, 1.2)


def _line(block: Block, name: str, colour: str) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        late = block.info.channels[block.info.names.index(name)].delay
        times, values = envelope(block.times - late, block.column(name))
        ax.plot(times, values, color=colour, lw=1.0)

    return draw


def _within(ax: Axes, values: Array) -> None:
    """Scale to what is usual, so that a few spikes do not flatten all else."""
    good = values[np.isfinite(values)]
    if len(good):
        low, high = np.percentile(good, [0.5, 99.5])
        margin = 0.25 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
