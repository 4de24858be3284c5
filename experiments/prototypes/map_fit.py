"""Maps and plain heads of participants left out, from the same encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from experiments.prototypes.affect_map import GRID, AffectMap
from experiments.prototypes.map_encoder import EncoderSettings, MapEncoder, train
from physio.core.block import Array
from physio.datasets.base import natural_sorted
from physio.evaluation.metrics import concordance

PLAIN: Final = "plain head"
MAP: Final = "prototypes"
SOURCE_TAU: Final = "prototypes, tau 0.9"
NO_LINE: Final = "prototypes, no line"
GEOMETRY: Final = "prototypes, geometry regularised"
MODELS: Final = (PLAIN, MAP, SOURCE_TAU, NO_LINE, GEOMETRY)
TAUS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
TARGETS: Final = ("valence", "arousal")
GEOMETRY_WEIGHT: Final = 0.012
_INNER: Final = 4


@dataclass(frozen=True, eq=False)
class RatedRows:
    """Rows with valence and arousal on [-1, 1].

    ``x``, shape (n, f); ``affect``, shape (n, 2); ``people``, shape (n,).
    """

    x: Array
    affect: Array
    people: Any

    def at(self, rows: Any) -> "RatedRows":
        """Return some rows."""
        return RatedRows(self.x[rows], self.affect[rows], self.people[rows])

    def split(self, people: Sequence[str]) -> tuple["RatedRows", "RatedRows"]:
        """Return the rows of the others, and those of some participants."""
        chosen = np.isin(self.people, people)
        return self.at(~chosen), self.at(chosen)

    @property
    def names(self) -> list[str]:
        """The participants, in natural order."""
        return natural_sorted(set(map(str, self.people)))


@dataclass(frozen=True, eq=False)
class FittedMap:
    """An encoder and the map of its training participants."""

    encoder: MapEncoder
    drawn: AffectMap
    taught: RatedRows

    def outputs(self, x: Array) -> dict[str, Array]:
        """Return valence and arousal of the plain head and of each read-out."""
        embedded = self.encoder.embed(x)
        wide = AffectMap.draw(
            self.encoder.embed(self.taught.x), self.taught.affect, 0.9
        )
        return {
            PLAIN: self.encoder.plain(x),
            MAP: self.drawn.read(embedded),
            SOURCE_TAU: wide.read(embedded),
            NO_LINE: self.drawn.weights(embedded) @ GRID,
        }


def fit(rows: RatedRows, settings: EncoderSettings, seed: int) -> FittedMap:
    """Return the encoder and map of training participants.

    The temperature is the best on a quarter of them, on whom neither an encoder nor a
    map was trained; then both are fitted to all.
    """
    others, inner = rows.split(rows.names[::_INNER])
    first = train(others.x, others.affect, settings, seed)
    embedded, shown = first.embed(others.x), first.embed(inner.x)
    by_tau = {}
    for tau in TAUS:
        read = AffectMap.draw(embedded, others.affect, tau).read(shown)
        by_tau[tau] = _mean(list(person_scores(inner, read)["both"].values()))
    tau = max(TAUS, key=lambda t: by_tau[t])
    encoder = train(rows.x, rows.affect, settings, seed)
    return FittedMap(
        encoder, AffectMap.draw(encoder.embed(rows.x), rows.affect, tau), rows
    )


def outputs(
    fitted: FittedMap, x: Array, settings: EncoderSettings, seed: int
) -> dict[str, Array]:
    """Return the outputs of all models, the regularised encoder's among them."""
    shaped = replace(settings, geometry=GEOMETRY_WEIGHT)
    rows = fitted.taught
    encoder = train(rows.x, rows.affect, shaped, seed)
    drawn = AffectMap.draw(encoder.embed(rows.x), rows.affect, fitted.drawn.tau)
    return {**fitted.outputs(x), GEOMETRY: drawn.read(encoder.embed(x))}


def person_scores(rows: RatedRows, output: Array) -> dict[str, dict[str, float]]:
    """Return each participant's concordance: of valence, of arousal, of both.

    A dimension that a participant rated alike throughout has no score.
    """
    by_target: dict[str, dict[str, float]] = {t: {} for t in (*TARGETS, "both")}
    for person in rows.names:
        mask = rows.people == person
        values = []
        for k, target in enumerate(TARGETS):
            y = rows.affect[mask, k]
            value = float("nan")
            if np.ptp(y) > 1e-9:
                value = concordance(y, output[mask, k][:, None])
            by_target[target][person] = value
            values.append(value)
        by_target["both"][person] = _mean(values)
    return by_target


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")
