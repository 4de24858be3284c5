"""Panels of the main signals of a session."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from physio.core.block import Array, Block, Channel
from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.view.plots.envelope import envelope
from physio.view.plots.time_axes import INK, display_unit

_CENTRAL: Final = ("Cz", "Fz", "Pz", "AFz", "FCz", "CPz")
"""Preferred EEG channels; the first one that is present is drawn."""


@dataclass(frozen=True)
class SignalPanel:
    """Panel of one signal: title, drawing function, and relative height."""

    title: str
    draw: Callable[[Axes], None]
    height: float = 1.0


def signal_panels(recording: Recording, features: Block | None) -> list[SignalPanel]:
    """Return the panels of EEG, skin conductance, heart rate and movement."""
    panels = []
    if eeg := _first_channel(recording, lambda c: c.kind == "eeg"):
        panels.append(_raw_panel(recording, *eeg, 1.2))
    skin = _first_channel(recording, lambda c: c.kind == "gsr")
    tonic = _first_column(features, lambda c: c.unit == "uS" and "tonic" in c.name)
    if skin or tonic:
        panels.append(_eda_panel(recording, skin, features, tonic))
    beats = _heart_rate_column(features)
    if features is not None and beats:
        panels.append(
            SignalPanel("Heart rate\n1/min", _feature_line(features, beats, "#AA3377"))
        )
    elif pulse := _first_channel(recording, lambda c: c.kind in ("bio", "ecg")):
        panels.append(_raw_panel(recording, *pulse, 1.0))
    movement = _first_column(features, lambda c: c.unit == "g")
    if features is not None and movement:
        panels.append(
            SignalPanel(
                "Movement\ng", _feature_line(features, movement, "#555555"), 0.7
            )
        )
    elif acc := _first_channel(recording, lambda c: c.unit == "g"):
        panels.append(_acceleration_panel(recording, acc[0]))
    return panels


def _first_channel(
    recording: Recording, matches: Callable[[Channel], bool]
) -> tuple[str, int] | None:
    """Return stream and number of the first raw channel that meets a condition."""
    for name, blocks in recording.streams.items():
        candidates = [i for i, c in enumerate(blocks[0].info.channels) if matches(c)]
        if candidates and name != "features" and any(map(len, blocks)):
            names = blocks[0].info.names
            central = [names.index(n) for n in _CENTRAL if n in names]
            return name, next((i for i in central if i in candidates), candidates[0])
    return None


def _first_column(features: Block | None, matches: Callable[[Channel], bool]) -> str:
    if features is None:
        return ""
    return next((c.name for c in features.info.channels if matches(c)), "")


def _heart_rate_column(features: Block | None) -> str:
    """Return the column of the heart rate (``rate`` beside ``edr_rate``)."""

    def matches(channel: Channel) -> bool:
        chain, _, quantity = channel.name.rpartition(".")
        beside = features is not None and f"{chain}.edr_rate" in features.info.names
        return quantity == "rate" and (beside or "heart" in chain)

    return _first_column(features, matches)


def _raw_panel(recording: Recording, stream: str, i: int, height: float) -> SignalPanel:
    blocks = recording.streams[stream]
    channel = blocks[0].info.channels[i]
    centred = channel.kind in ("eeg", "bio", "ecg")

    def draw(ax: Axes) -> None:
        times, data = stitched(blocks)
        values = data[:, i]
        if centred and np.isfinite(values).any():
            values = values - np.nanmedian(values)
        ax.plot(*envelope(times, values), color=INK, lw=0.6)
        _scale_to_percentiles(ax, values)

    kind = {"eeg": "EEG ", "ecg": "ECG ", "bio": "Pulse "}.get(channel.kind, "")
    name = "" if kind and channel.kind != "eeg" else channel.name
    unit = display_unit(channel.unit)
    return SignalPanel(
        f"{kind}{name}".strip() + (f"\n{unit}" if unit else ""), draw, height
    )


def _acceleration_panel(recording: Recording, stream: str) -> SignalPanel:
    def draw(ax: Axes) -> None:
        blocks = recording.streams[stream]
        times, data = stitched(blocks)
        axes = [i for i, c in enumerate(blocks[0].info.channels) if c.unit == "g"]
        size = np.sqrt(np.sum(data[:, axes] ** 2, axis=1))
        ax.plot(*envelope(times, size), color="#555555", lw=0.6)

    return SignalPanel("Movement\ng", draw, 0.7)


def _eda_panel(
    recording: Recording,
    raw: tuple[str, int] | None,
    features: Block | None,
    tonic: str,
) -> SignalPanel:
    def draw(ax: Axes) -> None:
        if raw is not None:
            times, data = stitched(recording.streams[raw[0]])
            ax.plot(*envelope(times, data[:, raw[1]]), color=INK, lw=0.8)
        if features is not None and tonic and np.isfinite(features.column(tonic)).any():
            _feature_line(features, tonic, "#CC79A7")(ax)
            ax.lines[-1].set_label("SCL (tonic)")
            ax.legend(loc="lower right", fontsize=7, framealpha=0.8, edgecolor="none")

    return SignalPanel(f"Skin\nconductance\n{display_unit('uS')}", draw, 1.2)


def _feature_line(block: Block, name: str, colour: str) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        late = block.info.channels[block.info.names.index(name)].delay
        times, values = envelope(block.times - late, block.column(name))
        ax.plot(times, values, color=colour, lw=1.0)

    return draw


def _scale_to_percentiles(ax: Axes, values: Array) -> None:
    """Scale the axis to percentiles, so that single spikes do not determine it."""
    good = values[np.isfinite(values)]
    if len(good):
        low, high = np.percentile(good, [0.5, 99.5])
        margin = 0.25 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
