"""Agreement of stated reasons with the one sensor that was driven."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from experiments.reasons.deletion import gaussian
from experiments.reasons.driven_sensors import DRIVEN, RestingParticipant, only
from physio.core.block import Array, Block, StreamInfo
from physio.core.stage import StageRunner
from physio.inference.contributions import change_contributions, modality_contributions
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert
from physio.models import model_card
from physio.models.baseline import transform

STATED: Final = "reasons as before"
CHANGED: Final = "reasons of the change"
LARGEST: Final = "largest change"
RULES: Final = (STATED, CHANGED, LARGEST)

RECENT: Final = 60
"""Time over which changes are explained (s), as in the dashboard."""

STEP: Final = 4
"""Time between estimates (s), as in the training of the weights."""

_JOINT: Final = "published-all"  # its features and their spread
_NO: Final = ("participant", "other")


class DrivenEvent(NamedTuple):
    """An event of one driven sensor, and the sensors that three rules name.

    ``effect``: difference of the estimate from the same session without the event;
    ``hits``: whether each rule of `RULES` names the driven sensor.
    """

    participant: str
    number: int
    kind: str
    effect: float
    hits: Mapping[str, bool]


class FeatureScale(NamedTuple):
    """Names, transforms and standard deviations of the features of all sensors."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    sd: Array

    @classmethod
    def of_training(cls) -> "FeatureScale":
        """Return those of the shipped joint Gaussian."""
        weights = model_card.load(_JOINT)
        names, kinds = zip(*weights.card.columns, strict=True)
        cov = gaussian(_JOINT).cov
        return cls(names, kinds, np.sqrt(np.diag(cov)[: len(names)]))

    def changes(
        self, info: StreamInfo, before: Array, after: Array
    ) -> dict[str, float]:
        """Return the mean change of each chain's features (standard deviations)."""
        at = [info.names.index(name) for name in self.names]
        rows = transform(np.stack([before, after])[:, at], list(self.kinds))
        off = np.abs(rows[1] - rows[0]) / self.sd
        by_chain: dict[str, list[float]] = {}
        for name, value in zip(self.names, np.nan_to_num(off).tolist(), strict=True):
            by_chain.setdefault(name.partition(".")[0], []).append(value)
        return {chain: float(np.mean(values)) for chain, values in by_chain.items()}


def estimates(names: Sequence[str], info: StreamInfo, x: Array) -> Block:
    """Return the live estimator's output on features at 4 Hz, each `STEP` s."""
    rows = np.ascontiguousarray(x[:: 4 * STEP])
    block = Block(replace(info, rate=Fraction(1, STEP)), 0, 0.0, rows)
    stage = Estimator(tuple(Expert(name) for name in names))
    return StageRunner(stage, block.info).push(block)


def driven_events(
    person: RestingParticipant,
    estimators: Mapping[str, Sequence[str]],
    scale: FeatureScale,
) -> dict[str, list[DrivenEvent]]:
    """Return the events of a participant for each estimator."""
    info, rest, driven = person.features()
    out: dict[str, list[DrivenEvent]] = {}
    for name, experts in estimators.items():
        quiet = estimates(experts, info, rest)
        events = []
        for kind, chains in DRIVEN.items():
            x = only(kind, info, rest, driven)
            block = estimates(experts, info, x)
            for number, onset in enumerate(person.onsets, 1):
                end = int(onset + person.seconds) // STEP
                begin = end - RECENT // STEP
                now, before = _row(block, end), _row(block, begin)
                change = scale.changes(info, *x[[4 * STEP * begin, 4 * STEP * end]])
                named = {
                    STATED: modality_contributions(now, "arousal"),
                    CHANGED: change_contributions(before, now, "arousal"),
                    LARGEST: change,
                }
                hits = {rule: _largest(v) in chains for rule, v in named.items()}
                effect = now["arousal"] - _row(quiet, end)["arousal"]
                events.append(DrivenEvent(str(person.seed), number, kind, effect, hits))
        out[name] = events
    return out


def hit_rates(
    events: Sequence[DrivenEvent], rule: str, number: int | None = None
) -> dict[str, float]:
    """Return the share of each participant's events whose sensor a rule names.

    ``number``: those of one repetition of the events; None for all.
    """
    by_person: dict[str, list[bool]] = {}
    for event in events:
        if number is None or event.number == number:
            by_person.setdefault(event.participant, []).append(event.hits[rule])
    return {person: float(np.mean(hits)) for person, hits in by_person.items()}


def _row(block: Block, k: int) -> dict[str, float]:
    return dict(zip(block.info.names, block.data[k].tolist(), strict=True))


def _largest(parts: Mapping[str, float]) -> str:
    sensors = {k: abs(v) for k, v in parts.items() if k not in _NO}
    return max(sensors, key=lambda k: sensors[k]) if sensors else ""
