"""Kinds of displayed signals, with the display filters and the scales of each."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from physio.core.block import Channel
from physio.core.stage import Stage
from physio.dsp.iir import Bandpass, Highpass, Lowpass

RAW: Final = "as recorded"
"""Name of the display filter that changes nothing."""

FILTERS: Final[Mapping[str, Stage | None]] = {
    RAW: None,
    "1 to 40 Hz": Bandpass(1.0, 40.0),
    "0.5 to 40 Hz": Bandpass(0.5, 40.0),
    "0.5 to 8 Hz": Bandpass(0.5, 8.0),
    "0.1 to 15 Hz": Bandpass(0.1, 15.0),
    "0.05 to 1 Hz": Bandpass(0.05, 1.0),
    "above 20 Hz": Highpass(20.0),
    "above 0.5 Hz": Highpass(0.5),
    "below 1 Hz": Lowpass(1.0),
}
"""Display filters; no feature is computed from the filtered signals."""

_VOLTS: Final = {"V": 1.0, "mV": 1e3, "uV": 1e6, "nV": 1e9}  # per volt


class SignalKind(NamedTuple):
    """A kind of signal.

    Parameters
    ----------
    name
        Name on the page.
    filters
        Names of its display filters; the first is used until another is chosen.
    heights
        Heights of a row in ``unit``; 0 fits the signal. The first is used until another
        is chosen.
    unit
        Unit of ``heights``; empty if there are none.
    """

    name: str
    filters: tuple[str, ...] = (RAW,)
    heights: tuple[float, ...] = (0.0,)
    unit: str = ""


_EEG: Final = SignalKind(
    "EEG", ("1 to 40 Hz", "above 0.5 Hz", RAW),
    (100.0, 20.0, 50.0, 200.0, 500.0, 1000.0, 0.0), "uV",
)  # fmt: skip
_OTHER: Final = SignalKind("other")
_BY_CHANNEL: Final[Mapping[str, SignalKind]] = {
    "eeg": _EEG,
    "eog": SignalKind("EOG", ("0.1 to 15 Hz", RAW), (0.0, 100.0, 200.0, 500.0), "uV"),
    "emg": SignalKind("EMG", ("above 20 Hz", RAW), (0.0, 100.0, 500.0, 2000.0), "uV"),
    "ecg": SignalKind("ECG", ("0.5 to 40 Hz", RAW), (0.0, 1.0, 2.0, 5.0), "mV"),
    "gsr": SignalKind(
        "EDA", (RAW, "below 1 Hz"), (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), "uS"
    ),
    "bio": SignalKind("pulse", (RAW, "0.5 to 8 Hz")),
    "ppg": SignalKind("pulse", (RAW, "0.5 to 8 Hz")),
    "resp": SignalKind("respiration", (RAW, "0.05 to 1 Hz")),
    "temperature": SignalKind("temperature", (RAW,), (0.0, 0.5, 1.0, 2.0, 5.0), "degC"),
}
_MOVEMENT: Final = SignalKind(
    "acceleration", (RAW, "above 0.5 Hz"), (0.0, 0.5, 1.0, 2.0, 4.0), "g"
)
KINDS: Final[Mapping[str, SignalKind]] = {
    kind.name: kind for kind in (*_BY_CHANNEL.values(), _MOVEMENT, _OTHER)
}
"""The kinds by name."""


def kind_of(channel: Channel) -> SignalKind:
    """Return the kind of a channel."""
    if channel.unit == "g":
        return _MOVEMENT
    return _BY_CHANNEL.get(channel.kind, _OTHER)


def kinds_of(channels: Iterable[Channel]) -> list[SignalKind]:
    """Return the distinct kinds of channels, in their order."""
    return list(dict.fromkeys(kind_of(channel) for channel in channels))


def height_in(unit: str, kind: SignalKind, height: float) -> float:
    """Return a height of a row in a channel's unit; 0, to fit, if it has another."""
    if unit == kind.unit:
        return height
    if unit in _VOLTS and kind.unit in _VOLTS:
        return height * _VOLTS[unit] / _VOLTS[kind.unit]
    return 0.0
