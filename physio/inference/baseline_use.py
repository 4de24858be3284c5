"""Seconds that served as a participant's baseline in live estimates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Block
from physio.core.recording import (
    BASELINE_START,
    CALIBRATION,
    MARKERS,
    Recording,
    base_name,
    baseline_marker,
)
from physio.models import model_card
from physio.models.sd_limits import SdLimits

CHOSEN: Final = "marked"
DEFAULT: Final = "not chosen"
CALIBRATED: Final = "calibration"


class BaselineUse(NamedTuple):
    """Baseline of a participant in the estimates of an expert.

    Parameters
    ----------
    expert
        Name of the weights.
    begin, end
        First and last second (s, session clock); NaN where there was no value yet, or
        a calibration of an earlier session stands for the baseline.
    source
        `CHOSEN` by markers, `DEFAULT` for the first seconds with a value, or
        `CALIBRATED`.
    participant
        Code of the participant, in a session of several.
    """

    expert: str
    begin: float
    end: float
    source: str
    participant: str = ""

    def sentence(self, zero: float) -> str:
        """Return the baseline in words, in seconds after ``zero`` (session clock)."""
        who = f"{self.participant}, {self.expert}" if self.participant else self.expert
        if self.source == CALIBRATED:
            return f"baseline of {who}: the calibration of an earlier session"
        if np.isnan(self.begin):
            return f"baseline of {who}: none, its features have no value"
        seconds = f"{self.begin - zero:.0f} to {self.end - zero:.0f} s"
        if self.source == CHOSEN:
            return f"baseline of {who}: {seconds} after the beginning, as chosen"
        return (
            f"baseline of {who}: {seconds} after the beginning, the first with a value "
            "(not chosen beforehand: --baseline BEGIN END)"
        )


class ExpertReading(NamedTuple):
    """Length of the baseline (s), features and limits of their deviation."""

    seconds: float
    features: tuple[str, ...]
    sd_limits: Mapping[str, float]


class BaselineObserver:
    """Observer of a session's items that derives the baselines that were used.

    Parameters
    ----------
    config
        Configuration of the session, resolved: its estimator names the experts.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._experts = expert_baselines(config)
        self._first: dict[tuple[str, str], float] = {}
        self._edges: list[tuple[float, str, str]] = []
        self._last: dict[str, float] = {}

    def take(self, item: Any) -> None:
        """Take an item of the session: markers, a calibration or features."""
        name = base_name(item.info.name)
        if isinstance(item, Block):
            if name.partition(".")[0] == "features" and len(item):
                self._take_features(item)
            return
        participant = item.info.participant
        if name == CALIBRATION:
            self._edges += [(float(t), CALIBRATED, participant) for t in item.times]
        elif name == MARKERS:
            for time, label in zip(item.times, item.labels, strict=False):
                if edge := baseline_marker(label):
                    self._edges.append((float(time), edge, participant))

    def uses(self) -> list[BaselineUse]:
        """Return the baseline of each participant and expert."""
        codes = sorted(self._last)
        return [
            self._use(code, expert, seconds)
            for code in codes
            for expert, (seconds, _, _) in self._experts.items()
        ]

    def _take_features(self, block: Block) -> None:
        code = block.info.participant
        self._last[code] = max(self._last.get(code, -np.inf), block.complete_until)
        for expert, (_, read, limits) in self._experts.items():
            if (code, expert) in self._first:
                continue
            data = SdLimits.of(limits, block.info.names).apply(block.data)
            columns = [i for i, n in enumerate(block.info.names) if _is_read(n, read)]
            valid = np.isfinite(data[:, columns]).any(axis=1)
            if valid.any():
                self._first[code, expert] = float(block.times[int(valid.argmax())])

    def _use(self, code: str, expert: str, seconds: float) -> BaselineUse:
        begin, source, last = np.nan, DEFAULT, self._last[code]
        end = np.nan
        for time, edge, who in sorted(self._edges):
            if who not in ("", code):
                continue
            if edge == CALIBRATED:
                begin, end, source = np.nan, np.nan, CALIBRATED
            elif edge == BASELINE_START:
                begin, end, source = time, np.nan, CHOSEN
            elif source == CHOSEN and np.isnan(end):
                end = min(time, begin + seconds)
        if source == DEFAULT:
            begin = self._first.get((code, expert), np.nan)
        if source != CALIBRATED and np.isnan(end):
            end = min(begin + seconds, last)
        return BaselineUse(expert, begin, end, source, code)


def baseline_uses(
    recording: Recording, features: Block | None, config: Mapping[str, Any]
) -> list[BaselineUse]:
    """Return the baselines of a recorded session.

    Parameters
    ----------
    recording
        The recording, with markers and calibrations.
    features
        Its features; None without any.
    config
        Its configuration, resolved.
    """
    observer = BaselineObserver(config)
    for events in recording.events.values():
        observer.take(events)
    if features is not None:
        observer.take(features)
    return observer.uses()


def expert_baselines(config: Mapping[str, Any]) -> dict[str, ExpertReading]:
    """Return the baseline length and the features of each expert."""
    estimator = config.get("estimator", {})
    tables = [estimator, *(v for v in estimator.values() if isinstance(v, Mapping))]
    baselines: dict[str, ExpertReading] = {}
    for table in tables:
        for expert in _experts(table):
            weights = str(expert.get("weights", ""))
            try:
                card = model_card.load(weights).card
            except (ValueError, OSError, KeyError):
                continue
            seconds = float(table.get("baseline_seconds") or card.baseline)
            chains = expert.get("features") or ()
            names = [n for n, _ in card.columns]
            read = [n for n in names if not chains or n.partition(".")[0] in chains]
            name = weights.rstrip("/").rpartition("/")[2]
            if not seconds:  # its features are relative to nothing
                continue
            baselines[name] = ExpertReading(seconds, tuple(read), card.sd_limits)
    return baselines


def _experts(table: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    experts = table.get("experts", ())
    if not isinstance(experts, Sequence):
        return ()
    return [e for e in experts if isinstance(e, Mapping)]


def _is_read(name: str, read: Sequence[str]) -> bool:
    """Return whether a column is read; EEG may have other electrodes than the card."""
    if name in read:
        return True
    stem, _, electrode = name.rpartition(".")
    is_eeg = name.startswith("eeg") and electrode not in ("window_start", "window_end")
    return is_eeg and any(n.startswith(f"{stem}.") for n in read)
