"""Preflight checks: a guided recording of 98 s before a session."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from scipy import signal

from physio.core.block import Array, StreamInfo
from physio.core.events import Events
from physio.core.protocols import Clock, Device
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.core.stitch import stitched
from physio.datasets.base import ConditionSpan
from physio.offline.analysis import Analysis, analyze
from physio.online.prompts import Step
from physio.online.remote_control import send
from physio.online.session import MARKERS
from physio.quality.range_checks import EegQuality
from physio.study.outcomes import iter_markers

STEPS: Final = (
    Step(1.0, "check blink", "Blink ten times, about once a second."),
    Step(16.0, "check open", "Sit still, eyes open, and look at one point."),
    Step(46.0, "check closed", "Close your eyes and sit still."),
    Step(
        76.0, "check breath", "Open your eyes, breathe in deeply at once, breathe out."
    ),
    Step(96.0, "check over", "Thank you: that was all."),
)
SECONDS: Final = 98.0
ECHO: Final = "check echo "
FRONTAL: Final = ("Fp1", "Fp2", "AF7", "AF8", "AF3", "AF4")
BACK: Final = ("O1", "O2", "Oz", "PO7", "PO8", "PO3", "PO4", "Pz")


@dataclass(frozen=True)
class PreflightCheck:
    """A check: quantity, value and criterion.

    ``ok`` is None if the sensor is absent.
    """

    quantity: str
    value: float
    unit: str
    criterion: str
    ok: bool | None

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "BAD ", None: "--  "}[self.ok]
        figure = "not measured" if np.isnan(self.value) else f"{self.value:.3g}"
        return f"{mark} {self.quantity}: {figure} {self.unit} ({self.criterion})"


class MarkerEcho(Device):
    """A device that sends a marker to its own session every few seconds.

    These markers have the same delay as markers of other software.
    """

    def __init__(self, folder: Path, clock: Clock, every: float = 5.0) -> None:
        self._folder, self.clock, self._every = folder, clock, every
        self._next = np.inf

    def __enter__(self) -> Self:
        self._next = self.clock.now() + self._every
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._next = np.inf

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The markers of the session."""
        return (MARKERS,)

    @property
    def ended(self) -> bool:
        """Always True: this device never prolongs a session."""
        return True

    def read(self) -> Sequence[Events]:
        """Send the marker when it is due."""
        now = self.clock.now()
        if now >= self._next:
            self._next = now + self._every
            send(self._folder, f"{ECHO}{now!r}")
        return ()


def checks(recording: Recording, folder: Path) -> list[PreflightCheck]:
    """Return all checks of a recording of `STEPS`; ``folder``: parent of sessions."""
    at = {label: t for t, label in iter_markers(recording)}
    return [
        *_electrodes(recording),
        *_resistances(recording),
        *_eyes(recording, at),
        *_body(recording, _analysis(recording), at),
        *_machine(recording, folder),
    ]


def _eeg(recording: Recording) -> Iterator[tuple[StreamInfo, Array, Array]]:
    for blocks in recording.streams.values():
        info = blocks[0].info
        if any(c.kind == "eeg" for c in info.channels) and any(map(len, blocks)):
            times, data = stitched(blocks)
            yield info, times, data


def _electrodes(recording: Recording) -> Iterator[PreflightCheck]:
    """Yield the usable fraction of the EEG channels."""
    for blocks in recording.streams.values():
        info = blocks[0].info
        if not any(c.kind == "eeg" for c in info.channels):
            continue
        flow = StageRunner(EegQuality(), info)
        good = np.concatenate([flow.push(b).data for b in blocks])
        share = np.nanmean(good, axis=0) if len(good) else np.zeros(len(info.names))
        for name, fraction in zip(info.names, share.tolist(), strict=True):
            yield PreflightCheck(
                f"{name} usable", fraction, "of 1", "0.9 or more", fraction >= 0.9
            )


def _resistances(recording: Recording) -> Iterator[PreflightCheck]:
    """Yield the electrode impedances that the board measures."""
    scale = {"Ohm": 1e-3, "kOhm": 1.0}
    for blocks in recording.streams.values():
        for i, channel in enumerate(blocks[0].info.channels):
            if channel.unit in scale and any(map(len, blocks)):
                values = np.concatenate([b.data[:, i] for b in blocks])
                kohm = float(np.nanmedian(values)) * scale[channel.unit]
                need = "50 or less"
                yield PreflightCheck(
                    f"{channel.name} impedance", kohm, "kOhm", need, kohm <= 50
                )


def _eyes(recording: Recording, at: dict[str, float]) -> Iterator[PreflightCheck]:
    """Detect frontal blinks, and posterior alpha with eyes closed."""
    blinks, ratio = np.nan, np.nan
    for info, times, data in _eeg(recording):
        rate = float(info.rate)
        front = [info.names.index(n) for n in FRONTAL if n in info.names]
        if front and {"check blink", "check open"} <= set(at):
            x = np.nan_to_num(data[:, front].mean(axis=1))
            sos = signal.butter(2, [0.5, 8.0], "bandpass", fs=rate, output="sos")
            y = np.abs(signal.sosfiltfilt(sos, x))
            y = y[(times >= at["check blink"]) & (times < at["check open"])]
            blinks = len(signal.find_peaks(y, height=40.0, distance=int(0.4 * rate))[0])
        back = [info.names.index(n) for n in BACK if n in info.names]
        if back and {"check open", "check closed", "check breath"} <= set(at):
            powers = [
                _alpha(times, data[:, back], at[a] + 3, at[b], rate)
                for a, b in (
                    ("check open", "check closed"),
                    ("check closed", "check breath"),
                )
            ]
            ratio = powers[1] / powers[0]
    need = "5 or more of the ten"
    yield PreflightCheck(
        "frontal blinks", blinks, "blinks", need, _passed(blinks, blinks >= 5)
    )
    need = "1.3 times or more"
    yield PreflightCheck(
        "alpha, eyes closed", ratio, "times", need, _passed(ratio, ratio >= 1.3)
    )


def _alpha(times: Array, x: Array, begin: float, end: float, rate: float) -> float:
    """Return the median over channels of the power from 8 to 12 Hz (uV^2)."""
    segment = np.nan_to_num(x[(times >= begin) & (times < end)])
    if len(segment) < 2 * rate:
        return float("nan")
    f, p = signal.welch(segment, rate, nperseg=int(2 * rate), axis=0)
    return float(np.median(p[(f >= 8) & (f <= 12)].mean(axis=0)))


def _body(
    recording: Recording, analysis: Analysis | None, at: dict[str, float]
) -> Iterator[PreflightCheck]:
    """Check pulse, movement and the SCR to a deep breath."""
    begin, end = at.get("check open", 0.0), at.get("check closed", 0.0)
    pulse = np.nan
    if analysis is not None and end > begin:
        rows = analysis.spans([ConditionSpan("open", begin, end)])
        rates = rows[rows["measure"] == "mean_heart_rate"]
        pulse = float(rates["coverage"].max()) if len(rates) else np.nan
    need = "0.8 or more accepted"
    yield PreflightCheck(
        "pulse valid", pulse, "of 1", need, _passed(pulse, pulse >= 0.8)
    )
    still = _acceleration_sd(recording, begin, end)
    yield PreflightCheck(
        "sitting still", still, "g", "0.05 or less", _passed(still, still <= 0.05)
    )
    size = np.nan
    if analysis is not None and _has_skin(analysis) and "check breath" in at:
        since = analysis.scrs["onset"] - at["check breath"]
        sizes = analysis.scrs.loc[(since >= 0.5) & (since < 8.0), "amplitude"]
        size = float(sizes.max()) if len(sizes) else 0.0
    need = "0.02 or more: else a non-responder or dry electrodes"
    yield PreflightCheck(
        "SCR to a breath", size, "uS", need, _passed(size, size >= 0.02)
    )


def _analysis(recording: Recording) -> Analysis | None:
    """Return the analysis of a recording; None without a signal for it."""
    try:
        return analyze(recording)
    except ValueError:
        return None


def _has_skin(analysis: Analysis) -> bool:
    return any(frame.attrs["kind"] == "skin" for frame in analysis.signals.values())


def _acceleration_sd(recording: Recording, begin: float, end: float) -> float:
    """Return the largest standard deviation of the acceleration axes (g)."""
    for blocks in recording.streams.values():
        info = blocks[0].info
        axes = [i for i, c in enumerate(info.channels) if c.unit == "g"]
        if axes and any(map(len, blocks)):
            times, data = stitched(blocks)
            segment = data[(times >= begin) & (times < end)][:, axes]
            return float(np.nanstd(segment, axis=0).max()) if len(segment) else np.nan
    return float("nan")


def _machine(recording: Recording, folder: Path) -> Iterator[PreflightCheck]:
    """Check marker delay, clock and free disk space."""
    late = [
        1e3 * (t - float(label.removeprefix(ECHO)))
        for t, label in iter_markers(recording)
        if label.startswith(ECHO)
    ]
    worst = max(late, default=float("nan"))
    ok = _passed(worst, worst <= 50)
    yield PreflightCheck("marker round trip", worst, "ms", "50 or less", ok)
    status = recording.events.get("session.status")
    messages = () if status is None else status.labels
    jumps = float(sum(text.startswith("clock:") for text in messages))
    yield PreflightCheck("clock", jumps, "jumps", "none", jumps == 0)
    free = shutil.disk_usage(folder).free / 1e9
    yield PreflightCheck("free disk space", free, "GB", "2 or more", free >= 2)


def _passed(figure: float, ok: bool) -> bool | None:  # noqa: FBT001
    return None if np.isnan(figure) else bool(ok)
