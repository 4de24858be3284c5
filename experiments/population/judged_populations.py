"""Novelty, coverage and abstention by population, simulated and real."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.confounders.judged_confounders import by_person
from experiments.cross_laboratory.person_changes import first_rest, person_changes
from experiments.literature import people
from experiments.literature.judgement import Primary, with_judgements
from experiments.literature.wrist_rows import wrist_table
from experiments.population.unlike_people import POPULATIONS, Population, member
from experiments.simulated.cohort import SimulatedParticipant
from experiments.simulated.device_subsets import DEVICES
from physio import config
from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array
from physio.evaluation.figures import Figures
from physio.evaluation.populations import by_population
from physio.evaluation.statistics import bootstrap_ci, summary
from physio.inference.expert import RatingModel, on_scale
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.feature_density import FeatureDensity
from physio.models.fusion import shrink_to_prior
from physio.training.gaussian import centred

FOLDER: Final = Path(__file__).parent
LIMITED: Final = "novelty limited"
PLAIN: Final = "novelty ignored"
DRY: Final = 0.2
"""Median conductance of the first rest below which a skin is dry (uS)."""

_LEVEL: Final = LEVELS.index(0.8)
_AROUSAL: Final = DIMENSIONS.index("arousal")
_NEAR: Final = 0.05  # of coverage
_SILENT: Final = 0.5  # share of novel moments that counts as abstention


class Moments(NamedTuple):
    """Estimates of arousal of a participant of a population at each moment.

    ``mean`` and ``half`` (of the 80 % interval) by way, ``felt``, and ``novel``.
    """

    mean: dict[str, Array]
    half: dict[str, Array]
    felt: Array
    novel: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PopulationTable:
    """Estimates of the shipped weights for people unlike those of their training.

    Parameters
    ----------
    transforms
        Features of the weights ``wrist``, and their transforms.
    participants
        Number of simulated people; each is a member of every population.
    weights
        Weights of the simulated people, who wear the wristband alone.
    """

    transforms: Mapping[str, str]
    participants: int = 150
    weights: str = "published-all"

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate; ``table``: stored windows of the four laboratories."""
        began = time.monotonic()
        seeds = Primary.read(FOLDER / "primary.toml").seeds
        tested = list(people.tested(self.participants))
        moments = {
            name: {str(p.seed): self.moments(p, kind) for p in tested}
            for name, kind in POPULATIONS.items()
        }
        by_seed = {seed: miss(moments, seed) for seed in seeds}
        real = real_rows(wrist_table(root, table), self.transforms)
        simulated = [simulated_row(n, m, seeds) for n, m in moments.items()]
        rows = [
            summary(way, "distance of coverage from 80 %, unlike populations", off, 23)
            for way, off in (
                (way, {p: -v for p, v in by_seed[seeds[0]][way].items()})
                for way in (LIMITED, PLAIN)
            )
        ]
        figures = Figures(
            "participants unlike those of the training",
            "shipped weights; nothing is trained",
            tuple({k: v for k, v in r.items() if k != "per_participant"} for r in rows),
            notes=tuple(map(in_words, simulated)),
            details={"simulated populations": simulated, "real populations": real},
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(figures, FOLDER, simulated=by_seed)

    def moments(
        self, participant: SimulatedParticipant, population: Population
    ) -> Moments:
        """Return the estimates of a participant of a population."""
        affect = people.recipe().affect
        stored = model_card.load(self.weights)
        columns = stored.card.columns
        changed = member(participant, population, columns)
        worn = [
            name.partition(".")[0] in DEVICES["wristband"] for name in changed.names
        ]
        changed = changed._replace(x=np.where(worn, changed.x, np.nan))
        ratings = RatingModel.of(stored)
        start = ratings.prior[0], ratings.prior[1]
        model, rest = stored.model(), BaselinePrior.restore(stored.part("rest"))
        z, extra = centred(affect.moments(changed, columns), rest)
        felt = affect.rated(changed)[1]
        mean: dict[str, list[float]] = {LIMITED: [], PLAIN: []}
        half: dict[str, list[float]] = {LIMITED: [], PLAIN: []}
        novelty = np.array([model.novelty(row, extra) for row in z])
        for row, far in zip(z, novelty, strict=True):
            plain = model.predict(row, extra)
            share = ratings.familiar(float(far))
            for way, (m, sd) in (
                (PLAIN, plain),
                (LIMITED, shrink_to_prior(plain[0], plain[1], *start, share)),
            ):
                mean[way].append(float(on_scale(m)[_AROUSAL]))
                width = ratings.widths[_AROUSAL, _LEVEL]
                half[way].append(float(width * sd[_AROUSAL]))
        return Moments(
            {k: np.array(v) for k, v in mean.items()},
            {k: np.array(v) for k, v in half.items()},
            felt[:, _AROUSAL],
            np.asarray(novelty > ratings.novelty_limit),
        )


def covered(moments: Moments, way: str, rating: Array) -> float:
    """Return the share of ratings of arousal within the 80 % interval."""
    off = np.abs(rating - moments.mean[way])
    return float((off <= moments.half[way]).mean())


def rated(moments: Moments, person: str, seed: int) -> Array:
    """Return ratings of arousal on nine steps, with a rater's noise."""
    affect = people.recipe().affect
    rng = np.random.default_rng((seed, int(person)))
    noisy = moments.felt + rng.normal(0, affect.rater, len(moments.felt))
    return np.asarray(np.round(np.clip(noisy, -1, 1) * 4) / 4)


def miss(
    moments: Mapping[str, Mapping[str, Moments]], seed: int
) -> dict[str, dict[str, float]]:
    """Return minus each person's distance of coverage from 80 %, by way.

    It is the mean over the populations unlike that of the training.
    """
    unlike = list(moments)[1:]
    out: dict[str, dict[str, float]] = {}
    for way in (LIMITED, PLAIN):
        out[way] = {}
        for person in moments[unlike[0]]:
            off = [
                abs(covered(m, way, rated(m, person, seed)) - LEVELS[_LEVEL])
                for m in (moments[name][person] for name in unlike)
            ]
            out[way][person] = -float(np.mean(off))
    return out


def simulated_row(
    name: str, by_participant: Mapping[str, Moments], seeds: tuple[int, ...]
) -> dict[str, Any]:
    """Return coverage, novelty and error of a population, over people and seeds."""
    row: dict[str, Any] = {"population": name, "participants": len(by_participant)}
    for way in (LIMITED, PLAIN):
        inside = np.array(
            [
                np.mean([covered(m, way, rated(m, p, s)) for s in seeds])
                for p, m in by_participant.items()
            ]
        )
        low, high = bootstrap_ci(inside, 23)
        row[way] = {
            "coverage": round(float(inside.mean()), 4),
            "low": low,
            "high": high,
        }
        follows = [_r(m.felt, m.mean[way]) for m in by_participant.values()]
        row[way]["correlation"] = _mean_known(follows)
        half = [m.half[way].mean() for m in by_participant.values()]
        row[way]["half-width"] = round(float(np.mean(half)), 3)
    novel = [m.novel.mean() for m in by_participant.values()]
    row["novel"] = round(float(np.mean(novel)), 4)
    row["within 5 points"] = abs(row[LIMITED]["coverage"] - LEVELS[_LEVEL]) <= _NEAR
    row["abstains"] = row["novel"] >= _SILENT
    return row


def in_words(row: Mapping[str, Any]) -> str:
    """Return the row of a simulated population as a sentence."""
    limited = row[LIMITED]
    verdict = "within 5 points" if row["within 5 points"] else "not within 5 points"
    if row["abstains"]:
        verdict += ", novel in most moments"
    return (
        f"{row['population']}: the 80 % interval of arousal holds "
        f"{limited['coverage']:.0%} [{limited['low']:.0%}, {limited['high']:.0%}] "
        f"({row[PLAIN]['coverage']:.0%} with {PLAIN}), {verdict}; "
        f"{row['novel']:.0%} of moments novel; r {limited['correlation']:.2f}."
    )


def real_rows(table: pd.DataFrame, transforms: Mapping[str, str]) -> dict[str, Any]:
    """Return novelty, answers and AUC of ``wrist`` by laboratory, device and skin."""
    stored = model_card.load("wrist")
    ratings, model = RatingModel.of(stored), stored.model()
    density = FeatureDensity.restore(stored.arrays) or model
    changed, first = person_changes(table, dict(transforms))
    z = changed[list(transforms)].to_numpy(np.float64)
    none = np.zeros(z.shape[1])
    novelty = np.array([density.novelty(row, none) for row in z])
    arousal = np.array([model.predict(row, none)[0][_AROUSAL] for row in z])
    who = (table["dataset"] + " " + table["subject"]).to_numpy(np.str_)
    later = ~first.astype(np.bool_)
    answers = np.isfinite(z).any(axis=1)
    stressed = table["stressed"].to_numpy(np.bool_)
    shares = {
        "share novel": _shares(novelty > ratings.novelty_limit, who, later & answers),
        "share answered": _shares(answers, who, later),
        "AUC of stress": by_person(arousal, who, stressed, later & answers),
    }
    rows = [summary("wrist", name, part, 23) for name, part in shares.items()]
    kinds = table.assign(who=who, rest=first_rest(table)).groupby("who")
    skin = {str(p): _skin(part) for p, part in kinds}
    names = table["dataset"].astype(str).tolist()
    laboratory: dict[str, str] = dict(zip(who.tolist(), names, strict=True))
    other = "Non-EEG"
    device = {
        p: "other device" if lab == other else "Empatica E4"
        for p, lab in laboratory.items()
    }
    return {
        axis: by_population(rows, groups, 23)
        for axis, groups in (
            ("laboratory", laboratory), ("device", device), ("skin", skin)
        )
    }  # fmt: skip


def _skin(rows: pd.DataFrame) -> str:
    level = rows.loc[rows["rest"], "eda.tonic"].median()
    if np.isnan(level):
        return "no signal at rest"
    return "dry" if level < DRY else "moist"


def _shares(values: Any, who: Any, rows: Any) -> dict[str, float]:
    return {
        str(p): float(values[rows & (who == p)].mean())
        for p in dict.fromkeys(who[rows].tolist())
    }


def _mean_known(values: list[float]) -> float:
    """Return the mean of the values that are no NaN; NaN if there are none."""
    known = [v for v in values if np.isfinite(v)]
    return round(float(np.mean(known)), 3) if known else float("nan")


def _r(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.std(b) > 1e-9 else float("nan")
