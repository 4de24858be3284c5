"""Outcomes of a segment of a recording: EDA, heart rate, temperature, ratings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.recording import MARKERS, Recording
from physio.core.stage import MaskBadSamples, Stage, StageRunner
from physio.dsp.select_channels import SelectChannels
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.eda.scr_detection import ScrDetection
from physio.quality.range_checks import EdaQuality
from physio.study.protocol_runner import BEGIN, END
from physio.study.questionnaires import load, questionnaire_names

UNITS: Final = {
    "eda.mean": "uS",
    "eda.scr_rate": "1/min",
    "eda.scr_amplitude": "uS",
    "heart.rate": "1/min",
    "heart.rmssd": "ms",
    "prv.rmssd": "ms",
    "temperature.mean": "degC",
}
"""Outcomes of signals and their units; scores have none (``"1"``)."""

DESCRIPTIONS: Final = {
    "eda.mean": "mean skin conductance of usable samples",
    "eda.scr_rate": "skin conductance responses of at least 0.02 uS a minute",
    "eda.scr_amplitude": "mean amplitude of these responses; missing without any",
    "heart.rate": "60 / mean of the accepted intervals between beats",
    "heart.rmssd": "root mean square of successive differences of these intervals, "
    "from an ECG",
    "prv.rmssd": "the same of a pulse wave: pulse rate variability",
    "temperature.mean": "mean skin temperature",
}
"""Definitions of the outcomes, for the codebook."""


HEART_UNITS: Final = ("uV", "mV", "V", "nV", "1", "counts", "%")
"""Units of an ECG or a pulse wave, of which only the shape matters."""

CONDITIONS, RATINGS = "study.conditions", "study.ratings"
"""Names of the streams with the conditions and ratings of a data set."""


class Segment(NamedTuple):
    """A condition from its begin to its end (s, session clock)."""

    condition: str
    begin: float
    end: float


class Outcome(NamedTuple):
    """Value, unit, and valid fraction of the segment (0 to 1)."""

    value: float
    unit: str
    coverage: float


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals of a recording, computed once, from which outcomes are derived.

    Parameters
    ----------
    beats
        Beats with the ``interval`` before each (s), NaN where it is not accepted.
    is_pulse
        Whether the beats are those of a pulse wave, not of an ECG.
    responses
        Skin conductance responses with their ``amplitude`` (uS).
    skin
        Skin conductance, NaN where it is not usable.
    temperature
        Skin temperature (degC).
    """

    beats: Events | None = None
    is_pulse: bool = False
    responses: Events | None = None
    skin: tuple[Array, Array] | None = None
    temperature: tuple[Array, Array] | None = None

    @classmethod
    def of(cls, recording: Recording) -> "Signals":
        """Run the live stages over a recording; an absent sensor is None."""
        usable = MaskBadSamples(quality=EdaQuality())
        sensors: dict[str, object] = {}
        if (eda := _stream(recording, ("gsr",), ("uS",))) is not None:
            masked = _run_stage(usable, eda)
            sensors["skin"] = _series(masked)
            sensors["responses"] = _detect_events(ScrDetection(), masked)
        if (heart := _stream(recording, ("ecg", "bio"), HEART_UNITS)) is not None:
            sensors["beats"] = _detect_events(BeatDetection(), heart)
            sensors["is_pulse"] = heart[0].info.channels[0].kind == "bio"
        warm = _stream(recording, ("temperature",), ("degC",))
        if warm is not None:
            sensors["temperature"] = _series(warm)
        return cls(**sensors)  # type: ignore[arg-type]

    def outcomes(self, begin: float, end: float) -> dict[str, Outcome]:
        """Return the outcomes of the segment from ``begin`` to ``end`` (s)."""
        outcomes: dict[str, Outcome] = {}
        seconds = end - begin
        level, share = _mean(self.skin, begin, end)
        outcomes["eda.mean"] = Outcome(level, "uS", share)
        outcomes |= self._scr_outcomes(begin, end, seconds, share)
        outcomes |= self._heart_outcomes(begin, end, seconds)
        temperature, share = _mean(self.temperature, begin, end)
        outcomes["temperature.mean"] = Outcome(temperature, "degC", share)
        return outcomes

    def _scr_outcomes(
        self, begin: float, end: float, seconds: float, share: float
    ) -> dict[str, Outcome]:
        if self.responses is None or share == 0:
            return {
                k: Outcome(np.nan, UNITS[k], 0.0)
                for k in ("eda.scr_rate", "eda.scr_amplitude")
            }
        t = self.responses.times
        inside = (t >= begin) & (t < end)
        column = self.responses.info.names.index("amplitude")
        sizes = self.responses.data[inside, column]
        rate = 60 * float(inside.sum()) / (seconds * share)
        size = float(sizes.mean()) if len(sizes) else np.nan
        return {
            "eda.scr_rate": Outcome(rate, "1/min", share),
            "eda.scr_amplitude": Outcome(size, "uS", share),
        }

    def _heart_outcomes(
        self, begin: float, end: float, seconds: float
    ) -> dict[str, Outcome]:
        variability = "prv.rmssd" if self.is_pulse else "heart.rmssd"
        names = "heart.rate", variability
        if self.beats is None:
            return {k: Outcome(np.nan, UNITS[k], 0.0) for k in names}
        t, column = self.beats.times, self.beats.info.names.index("interval")
        ibi = self.beats.data[:, column]
        inside = np.flatnonzero((t >= begin) & (t < end))
        good = inside[~np.isnan(ibi[inside])]
        if not len(good):
            return {k: Outcome(np.nan, UNITS[k], 0.0) for k in names}
        share = min(1.0, float(ibi[good].sum()) / seconds)
        pairs = good[np.isin(good - 1, good)]
        steps = ibi[pairs] - ibi[pairs - 1]
        rmssd = 1e3 * float(np.sqrt(np.mean(steps**2))) if len(steps) else np.nan
        return {
            "heart.rate": Outcome(60 / float(ibi[good].mean()), "1/min", share),
            variability: Outcome(rmssd, "ms", share),
        }

    def heart_rate(self, begin: float, end: float) -> float:
        """Return the mean heart rate of accepted intervals in a segment (1/min)."""
        return self._heart_outcomes(begin, end, end - begin)["heart.rate"].value


def completed_segments(recording: Recording) -> list[Segment]:
    """Return the completed conditions according to the markers.

    For a data set, these are the conditions with a stated end.
    """
    segments: list[Segment] = []
    began: dict[str, float] = {}
    conditions = recording.events.get(CONDITIONS)
    if conditions is not None and conditions.info.names == ("end",):
        return [
            Segment(label, float(t), float(end))
            for label, t, end in zip(
                conditions.labels, conditions.times, conditions.data[:, 0], strict=True
            )
        ]
    for time, label in iter_markers(recording):
        if label.startswith(BEGIN):
            began[label.removeprefix(BEGIN)] = time
        elif label.startswith(END):
            name = label.removeprefix(END)
            if name in began:
                segments.append(Segment(name, began.pop(name), time))
    return segments


def questionnaire_scores(recording: Recording) -> dict[str, dict[str, Outcome]]:
    """Return the scores of questionnaires: ``{"stress": {"sam.arousal": ...}}``.

    Scores are assigned to the last condition that ended before them. For a data set,
    they are its ratings on the scale of the self-assessment manikin.
    """
    rated = recording.events.get(RATINGS)
    if rated is not None:
        names = [n for n in rated.info.names if n.endswith(".sam")]
        at = [rated.info.names.index(n) for n in names]
        return {
            label: {
                f"sam.{n.removesuffix('.sam')}": Outcome(float(v), "1", 1.0)
                for n, v in zip(names, row[at], strict=True)
            }
            for label, row in zip(rated.labels, rated.data, strict=True)
        }
    answered: dict[str, dict[str, dict[str, float]]] = {}
    condition = ""
    for _, label in iter_markers(recording):
        if label.startswith(END):
            condition = label.removeprefix(END)
        answer = _answer(label)
        if answer is not None and condition:
            name, item, value = answer
            responses = answered.setdefault(condition, {}).setdefault(name, {})
            responses[item] = value
    return {
        condition: {
            f"{name}.{scale}": Outcome(score, "1", 1.0)
            for name, items in questionnaires.items()
            if len(items) == len(load(name).items)
            for scale, score in load(name).scores(items).items()
        }
        for condition, questionnaires in answered.items()
    }


def _answer(label: str) -> tuple[str, str, float] | None:
    """Return questionnaire, item and value of an answer; None for another marker."""
    parts = label.split(" ")
    if parts[0] != "answer" or len(parts) != 4 or parts[1] not in questionnaire_names():
        return None
    try:
        value = float(parts[3])
    except ValueError:
        return None
    return (parts[1], parts[2], value) if parts[2] in load(parts[1]).items else None


def iter_markers(recording: Recording) -> Iterator[tuple[float, str]]:
    """Yield time and label of the markers of all streams, in order."""
    rows: list[tuple[float, int, str]] = []
    for name, events in recording.events.items():
        if events.labels and _is_marker_stream(name, events):
            rows += [
                (float(t), i, label)
                for i, (t, label) in enumerate(
                    zip(events.times, events.labels, strict=True)
                )
            ]
    for time, _, label in sorted(rows):
        yield time, label


def _is_marker_stream(name: str, events: Events) -> bool:
    """Return True if a stream holds markers, of the session or of other software."""
    if name.startswith("session."):
        return name.startswith(MARKERS)
    return not events.info.channels


def _stream(
    recording: Recording, kinds: Sequence[str], units: Sequence[str]
) -> tuple[Block, ...] | None:
    """Return the first stream with a matching channel, reduced to that channel."""
    for kind in kinds:
        for blocks in recording.streams.values():
            info = blocks[0].info
            if info.rate == 0 or info.name.partition(".")[0] in {
                "features",
                "estimates",
            }:
                continue
            names = [
                c.name for c in info.channels if c.kind == kind and c.unit in units
            ]
            if names and any(map(len, blocks)):
                return _run_stage(SelectChannels((names[0],)), blocks)
    return None


def _run_stage(stage: Stage, blocks: Sequence[Block]) -> tuple[Block, ...]:
    flow = StageRunner(stage, blocks[0].info)
    return tuple(flow.push(block) for block in blocks)


def _detect_events(stage: Stage, blocks: Sequence[Block]) -> Events:
    """Return the events that a stage detects in a recording, in one block."""
    batches = [events_from_grid(block) for block in _run_stage(stage, blocks)]
    times = np.concatenate([e.times for e in batches])
    data = np.concatenate([e.data for e in batches])
    order = np.argsort(times, kind="stable")
    info: StreamInfo = batches[0].info.with_channels(
        Fraction(0), *batches[0].info.channels
    )
    return Events(info, batches[-1].complete_until, times[order], data[order])


def _series(blocks: Sequence[Block]) -> tuple[Array, Array]:
    """Return times and values of the first channel of a stream."""
    times = np.concatenate([b.times for b in blocks])
    return times, np.concatenate([b.data[:, 0] for b in blocks])


def _mean(
    values: tuple[Array, Array] | None, begin: float, end: float
) -> tuple[float, float]:
    """Return the mean of the valid samples and the fraction of time they cover."""
    if values is None:
        return np.nan, 0.0
    times, x = values
    inside = x[(times >= begin) & (times < end)]
    valid = inside[~np.isnan(inside)]
    if not len(valid):
        return np.nan, 0.0
    step = float(np.median(np.diff(times))) if len(times) > 1 else np.inf
    return float(valid.mean()), min(1.0, len(valid) * step / (end - begin))
