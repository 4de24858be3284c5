"""What a stretch of a recording measures: skin, heart, temperature, self-report."""

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
from physio.study.questionnaires import load

UNITS: Final = {
    "skin.level": "uS",
    "scr.rate": "1/min",
    "scr.amplitude": "uS",
    "heart.rate": "1/min",
    "heart.rmssd": "ms",
    "temperature.mean": "degC",
}
"""The measures of signals, and their units; answers have none (``"1"``)."""

MEANT: Final = {
    "skin.level": "mean skin conductance of usable samples",
    "scr.rate": "skin conductance responses of at least 0.02 uS a minute",
    "scr.amplitude": "mean amplitude of these responses; missing where there is none",
    "heart.rate": "60 / mean of the accepted intervals between beats",
    "heart.rmssd": "root mean square of successive differences of these intervals; "
    "from a pulse wave it is pulse-rate variability",
    "temperature.mean": "mean skin temperature",
}
"""What each is, for the codebook."""


CONDITIONS, RATINGS = "study.conditions", "study.ratings"
"""Names of the streams in which data sets tell of conditions and ratings."""


class Segment(NamedTuple):
    """A condition that a participant went through (s, session clock)."""

    condition: str
    begin: float
    end: float


class Measure(NamedTuple):
    """A value, its unit, and the share of the stretch it rests on (0 to 1)."""

    value: float
    unit: str
    coverage: float


@dataclass(frozen=True, eq=False)
class Signals:
    """What is measured once of a recording, and then looked at stretch by stretch.

    Parameters
    ----------
    beats
        Beats with the ``interval`` before each (s), NaN where it is not accepted.
    responses
        Skin conductance responses with their ``amplitude`` (uS).
    skin
        Skin conductance, NaN where it is not usable.
    temperature
        Of the skin (degC).
    """

    beats: Events | None = None
    responses: Events | None = None
    skin: tuple[Array, Array] | None = None
    temperature: tuple[Array, Array] | None = None

    @classmethod
    def of(cls, recording: Recording) -> "Signals":
        """Run the live stages over a recording; a sensor that is not there is None."""
        usable = MaskBadSamples(quality=EdaQuality())
        found: dict[str, object] = {}
        if (eda := _stream(recording, ("gsr",), ("uS",))) is not None:
            masked = _through(usable, eda)
            found["skin"] = _laid(masked)
            found["responses"] = _points(ScrDetection(), masked)
        if (heart := _stream(recording, ("ecg", "bio"), ("uV", "mV", "1"))) is not None:
            found["beats"] = _points(BeatDetection(), heart)
        warm = _stream(recording, ("temperature",), ("degC",))
        if warm is not None:
            found["temperature"] = _laid(warm)
        return cls(**found)  # type: ignore[arg-type]

    def measured(self, begin: float, end: float) -> dict[str, Measure]:
        """Return what the stretch from ``begin`` to ``end`` (s) measures."""
        found: dict[str, Measure] = {}
        seconds = end - begin
        level, share = _mean(self.skin, begin, end)
        found["skin.level"] = Measure(level, "uS", share)
        found |= self._responded(begin, end, seconds, share)
        found |= self._beaten(begin, end, seconds)
        warm, share = _mean(self.temperature, begin, end)
        found["temperature.mean"] = Measure(warm, "degC", share)
        return found

    def _responded(
        self, begin: float, end: float, seconds: float, share: float
    ) -> dict[str, Measure]:
        if self.responses is None or share == 0:
            return {
                k: Measure(np.nan, UNITS[k], 0.0) for k in ("scr.rate", "scr.amplitude")
            }
        t = self.responses.times
        here = (t >= begin) & (t < end)
        column = self.responses.info.names.index("amplitude")
        sizes = self.responses.data[here, column]
        rate = 60 * float(here.sum()) / (seconds * share)
        size = float(sizes.mean()) if len(sizes) else np.nan
        return {
            "scr.rate": Measure(rate, "1/min", share),
            "scr.amplitude": Measure(size, "uS", share),
        }

    def _beaten(self, begin: float, end: float, seconds: float) -> dict[str, Measure]:
        if self.beats is None:
            return {
                k: Measure(np.nan, UNITS[k], 0.0) for k in ("heart.rate", "heart.rmssd")
            }
        t, column = self.beats.times, self.beats.info.names.index("interval")
        ibi = self.beats.data[:, column]
        here = np.flatnonzero((t >= begin) & (t < end))
        good = here[~np.isnan(ibi[here])]
        if not len(good):
            return {
                k: Measure(np.nan, UNITS[k], 0.0) for k in ("heart.rate", "heart.rmssd")
            }
        share = min(1.0, float(ibi[good].sum()) / seconds)
        pairs = good[np.isin(good - 1, good)]
        steps = ibi[pairs] - ibi[pairs - 1]
        rmssd = 1e3 * float(np.sqrt(np.mean(steps**2))) if len(steps) else np.nan
        return {
            "heart.rate": Measure(60 / float(ibi[good].mean()), "1/min", share),
            "heart.rmssd": Measure(rmssd, "ms", share),
        }

    def rate(self, begin: float, end: float) -> float:
        """Return the mean heart rate of accepted intervals in a stretch (1/min)."""
        return self._beaten(begin, end, end - begin)["heart.rate"].value


def spans(recording: Recording) -> list[Segment]:
    """Return the conditions that were completed, as their markers tell.

    Of a data set, those are its conditions that it tells of with their ends.
    """
    found: list[Segment] = []
    began: dict[str, float] = {}
    told = recording.events.get(CONDITIONS)
    if told is not None and told.info.names == ("end",):
        return [
            Segment(label, float(t), float(end))
            for label, t, end in zip(
                told.labels, told.times, told.data[:, 0], strict=True
            )
        ]
    for time, label in marked(recording):
        if label.startswith(BEGIN):
            began[label.removeprefix(BEGIN)] = time
        elif label.startswith(END):
            name = label.removeprefix(END)
            if name in began:
                found.append(Segment(name, began.pop(name), time))
    return found


def answers(recording: Recording) -> dict[str, dict[str, Measure]]:
    """Return the scores of questionnaires by condition: ``{"stress": {"sam.arousal"``.

    They count for the condition that ended last before them. Of a data set, they are
    its ratings on the self-assessment manikin's own scale.
    """
    rated = recording.events.get(RATINGS)
    if rated is not None:
        names = [n for n in rated.info.names if n.endswith(".sam")]
        at = [rated.info.names.index(n) for n in names]
        return {
            label: {
                f"sam.{n.removesuffix('.sam')}": Measure(float(v), "1", 1.0)
                for n, v in zip(names, row[at], strict=True)
            }
            for label, row in zip(rated.labels, rated.data, strict=True)
        }
    given: dict[str, dict[str, dict[str, float]]] = {}
    condition = ""
    for _, label in marked(recording):
        if label.startswith(END):
            condition = label.removeprefix(END)
        parts = label.split(" ")
        if parts[0] == "answer" and len(parts) == 4 and condition:
            own = given.setdefault(condition, {}).setdefault(parts[1], {})
            own[parts[2]] = float(parts[3])
    return {
        condition: {
            f"{name}.{scale}": Measure(score, "1", 1.0)
            for name, said in each.items()
            if len(said) == len(load(name).items)
            for scale, score in load(name).scores(said).items()
        }
        for condition, each in given.items()
    }


def marked(recording: Recording) -> Iterator[tuple[float, str]]:
    """Yield time and label of each marker, in order, whichever stream it came in."""
    rows: list[tuple[float, int, str]] = []
    for name, events in recording.events.items():
        if events.labels and _marks(name, events):
            rows += [
                (float(t), i, label)
                for i, (t, label) in enumerate(
                    zip(events.times, events.labels, strict=True)
                )
            ]
    for time, _, label in sorted(rows):
        yield time, label


def _marks(name: str, events: Events) -> bool:
    """Tell whether a stream is of markers: the session's, or other software's."""
    if name.startswith("session."):
        return name.startswith(MARKERS)
    return not events.info.channels


def _stream(
    recording: Recording, kinds: Sequence[str], units: Sequence[str]
) -> tuple[Block, ...] | None:
    """Return the first stream with such a channel, of that channel alone."""
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
                return _through(SelectChannels((names[0],)), blocks)
    return None


def _through(stage: Stage, blocks: Sequence[Block]) -> tuple[Block, ...]:
    flow = StageRunner(stage, blocks[0].info)
    return tuple(flow.push(block) for block in blocks)


def _points(stage: Stage, blocks: Sequence[Block]) -> Events:
    """Return the events that a stage finds, all of a recording in one."""
    found = [events_from_grid(block) for block in _through(stage, blocks)]
    times = np.concatenate([e.times for e in found])
    data = np.concatenate([e.data for e in found])
    order = np.argsort(times, kind="stable")
    info: StreamInfo = found[0].info.with_channels(Fraction(0), *found[0].info.channels)
    return Events(info, found[-1].complete_until, times[order], data[order])


def _laid(blocks: Sequence[Block]) -> tuple[Array, Array]:
    """Return times and values of a stream's first channel."""
    times = np.concatenate([b.times for b in blocks])
    return times, np.concatenate([b.data[:, 0] for b in blocks])


def _mean(
    values: tuple[Array, Array] | None, begin: float, end: float
) -> tuple[float, float]:
    """Return the mean of what is there, and which share of the time that is."""
    if values is None:
        return np.nan, 0.0
    times, x = values
    here = x[(times >= begin) & (times < end)]
    there = here[~np.isnan(here)]
    if not len(there):
        return np.nan, 0.0
    step = float(np.median(np.diff(times))) if len(times) > 1 else np.inf
    return float(there.mean()), min(1.0, len(there) * step / (end - begin))
