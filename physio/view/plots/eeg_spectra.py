"""Figures of EEG: spectra by channel and condition, and topographies of bands."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from physio.core.block import Array, Channel
from physio.core.counted_nouns import counted
from physio.core.printable import printable
from physio.core.recording import Recording, computed
from physio.core.stitch import stitched
from physio.view.electrodes import electrode_positions
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import ConditionInterval, display_unit

BANDS: Final = {
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""Bands of the topographies (Hz)."""

_FRAME: Final = 2.0  # s
_RANGE: Final = 150.0  # uV; a frame with a larger range is an artifact
_CHUNK: Final = 64  # frames transformed at once
_FEWEST: Final = 3  # frames of a spectrum
_INTERPOLATED: Final = 16  # electrodes from which a map is interpolated
_MOST: Final = 6  # conditions
_LINES: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip


class EegSpectra(NamedTuple):
    """Power spectra of the electrodes of one stream.

    Parameters
    ----------
    channels
        The electrodes.
    freqs
        Frequencies (Hz), shape (n_freqs,).
    power
        Mean power of the frames without artifacts by name of the condition, each of
        shape (n_channels, n_freqs); NaN without frames.
    used
        Proportion of the frames of a channel that are used, by condition.
    """

    channels: tuple[Channel, ...]
    freqs: Array
    power: dict[str, Array]
    used: dict[str, float]


def eeg_spectra(
    recording: Recording, parts: Sequence[ConditionInterval]
) -> EegSpectra | None:
    """Return the spectra of the first EEG stream in each condition, or None.

    Frames of 2 s without overlap (Hann window, linear trend removed). A frame with a
    missing sample, or a range above 150 uV, is left out of its channel. Conditions of
    the same name are joined.
    """
    from mne.time_frequency import psd_array_welch
    from scipy.signal import detrend

    for name, blocks in recording.streams.items():
        info = blocks[0].info
        eeg = [i for i, c in enumerate(info.channels) if c.kind == "eeg"]
        if not eeg or computed(name) or not any(map(len, blocks)):
            continue
        rate = float(info.rate)
        width = round(_FRAME * rate)
        times, data = stitched(blocks)
        channels = tuple(info.channels[i] for i in eeg)
        freqs: Array = np.empty(0)
        sums: dict[str, Array] = {}
        counts: dict[str, Array] = {}
        totals: dict[str, int] = {}
        for part in parts:
            first, last = np.searchsorted(times, (part.begin, part.end))
            n_frames = int(last - first) // width
            for at in range(0, n_frames, _CHUNK):
                n = min(_CHUNK, n_frames - at)
                begin = first + at * width
                block = data[begin : begin + n * width][:, eeg]
                frames = block.reshape(n, width, len(eeg)).transpose(0, 2, 1)
                whole: Any = np.isfinite(frames).all(axis=2)
                flat = detrend(np.where(whole[:, :, None], frames, 0.0))
                span = flat.max(axis=2) - flat.min(axis=2)
                good = whole & (span <= _RANGE)
                power, freqs = psd_array_welch(
                    flat, rate, 1.0, min(60.0, 0.45 * rate), n_fft=width,
                    window="hann", verbose="error",
                )  # fmt: skip
                key = part.name
                sums[key] = sums.get(key, 0.0) + (power * good[:, :, None]).sum(0)
                counts[key] = counts.get(key, 0) + good.sum(0)
                totals[key] = totals.get(key, 0) + n
        if not sums:
            return None
        power = {
            key: np.where(
                (counts[key] >= _FEWEST)[:, None],
                sums[key] / np.maximum(counts[key], 1)[:, None],
                np.nan,
            )
            for key in sums
        }
        used = {key: float(counts[key].mean() / totals[key]) for key in sums}
        return EegSpectra(channels, freqs, power, used)
    return None


def spectrum_figure(spectra: EegSpectra) -> Figure:
    """Draw the spectrum of each electrode, and of each condition if there are several.

    The power of a condition is the median of the electrodes.
    """
    names = list(spectra.power)[:_MOST]
    figure = PlainTextFigure((11, 3.4), layout="constrained")
    panels: Any = figure.subplots(1, 1 + (len(names) > 1), squeeze=False, sharey=True)
    per_channel, *by_condition = panels[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 10 * np.log10(_nanmean(list(spectra.power.values())))
        per_channel.plot(spectra.freqs, mean.T, lw=0.8, alpha=0.8)
        for ax in by_condition:
            for name, colour in zip(names, _LINES, strict=False):
                decibels = 10 * np.log10(_nanmedian(spectra.power[name]))
                label = f"{printable(name)[:24]} ({spectra.used[name]:.0%} of frames)"
                ax.plot(spectra.freqs, decibels, color=colour, lw=1.3, label=label)
            ax.legend(fontsize=7, frameon=False)
            ax.set_title("median of the electrodes, by condition", fontsize=9)
    unit = display_unit(spectra.channels[0].unit)
    per_channel.set(ylabel=f"power (dB, {unit}²/Hz)".replace("dB, ²", "dB, 1"))
    per_channel.set_title(
        f"{counted(len(spectra.channels), 'electrode')}, all conditions", fontsize=9
    )
    if len(spectra.channels) <= 16:
        labels = [printable(c.name) for c in spectra.channels]
        per_channel.legend(labels, fontsize=7, ncols=4, frameon=False)
    for ax in panels[0]:
        ax.set_xlabel("frequency (Hz)")
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def topography_figure(spectra: EegSpectra) -> Figure | None:
    """Draw the power of each band over the head, a row for each condition.

    From 16 known electrodes on, maps are interpolated (MNE); fewer are dots, because a
    map of few electrodes invents what lies between them. All maps of a band share one
    scale. None with fewer than three electrodes of the 10-05 system.
    """
    from mne.viz import plot_topomap

    places = electrode_positions()
    rows = [
        i for i, c in enumerate(spectra.channels) if c.name.strip().lower() in places
    ]
    bands = {n: b for n, b in BANDS.items() if b[1] <= spectra.freqs[-1] + 1}
    if len(rows) < 3 or not bands:
        return None
    names = [spectra.channels[i].name for i in rows]
    xy = np.array([places[n.strip().lower()] for n in names])
    conditions = list(spectra.power)[:_MOST]
    figure = PlainTextFigure(
        (1.2 + 1.7 * len(bands), 0.9 + 1.6 * len(conditions)), layout="constrained"
    )
    axes: Any = figure.subplots(len(conditions), len(bands), squeeze=False)
    for k, (band, (low, high)) in enumerate(bands.items()):
        inside = (spectra.freqs >= low) & (spectra.freqs < high)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = [
                10 * np.log10(spectra.power[c][rows][:, inside].mean(axis=1))
                for c in conditions
            ]
        finite = np.concatenate([v[np.isfinite(v)] for v in values])
        limits = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        drawn = None
        for i, value in enumerate(values):
            ax = axes[i, k]
            good = np.isfinite(value)
            if good.sum() >= _INTERPOLATED:
                drawn, _ = plot_topomap(
                    value[good], xy[good], axes=ax, show=False, vlim=limits,
                    cmap="viridis", contours=0, sphere=1.0,
                )  # fmt: skip
            else:
                drawn = _draw_dots(ax, xy, value, limits)
            if k == 0:
                ax.set_ylabel(printable(conditions[i])[:18], fontsize=9)
            if i == 0:
                ax.set_title(f"{band}, {low:g}-{high:g} Hz", fontsize=9)
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=axes[:, k], shrink=0.7, location="bottom")
            bar.ax.tick_params(labelsize=7)
            bar.set_label("dB", fontsize=7)
    return figure


def _draw_dots(ax: Any, xy: Array, values: Array, limits: tuple[float, float]) -> Any:
    """Draw electrodes as dots on the outline of a head."""
    angle = np.linspace(0, 2 * np.pi, 100)
    ax.plot(np.cos(angle), np.sin(angle), color="0.4", lw=1)
    ax.plot([-0.12, 0, 0.12], [0.99, 1.12, 0.99], color="0.4", lw=1)
    dots = ax.scatter(
        xy[:, 0], xy[:, 1], c=values, vmin=limits[0], vmax=limits[1], s=45,
        cmap="viridis", edgecolors="0.3", plotnonfinite=False,
    )  # fmt: skip
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return dots


def _nanmean(powers: Sequence[Array]) -> Array:
    stack = np.stack(powers)
    n = np.isfinite(stack).sum(axis=0)
    total = np.nansum(stack, axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _nanmedian(power: Array) -> Array:
    good = np.isfinite(power).all(axis=1)
    return (
        np.median(power[good], axis=0)
        if good.any()
        else np.full(power.shape[1:], np.nan)
    )
