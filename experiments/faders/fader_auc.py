"""Evaluation of faders with few labels, on wrists and on simulated participants."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.faders.fader_network import FaderConfig
from experiments.faders.few_labels import ALL, FewLabels, People, named, scores
from experiments.literature import people
from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import held_out, wrist_table
from experiments.simulated.cohort import SimulatedParticipant
from physio import config
from physio.core.block import Array
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import paired_differences, summary

FOLDER: Final = Path(__file__).parent
MINUTE: Final = 15  # moments of 4 s
STEP: Final = 5  # moments between minutes
_SEED: Final = 23

BySeed = dict[int, dict[str, dict[str, float]]]
"""AUC by seed, model and participant."""


@dataclass(frozen=True)
class Faders:
    """AUC of stress, or of high arousal, with 1, 2, 5 and all participants labelled.

    Parameters
    ----------
    transforms
        Transform of each feature of the wrist before the mean of the rest is
        subtracted.
    tied
        Features of the wrist tied to each fader.
    columns, simulated_tied
        The features of simulated participants, and those tied to each fader.
    laboratories
        Laboratories that are left out in turn.
    network
        Settings of the latent model.
    counts
        Numbers of labelled participants; all are added.
    draws
        Number of draws of the labelled participants in each seed.
    participants
        Number of simulated participants, training and test.
    """

    transforms: Mapping[str, str]
    tied: Mapping[str, tuple[str, ...]]
    columns: tuple[str, ...]
    simulated_tied: Mapping[str, tuple[str, ...]]
    laboratories: tuple[str, ...]
    network: FaderConfig = field(default_factory=FaderConfig)
    counts: tuple[int, ...] = (1, 2, 5)
    draws: int = 3
    participants: tuple[int, int] = (150, 300)

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Train and test on wrists and on simulated participants, by seed."""
        began = time.monotonic()
        primary = Primary.read(FOLDER / FILE)
        rows = wrist_table(root, table)
        real = {
            f"AUC, {name} left out": self._by_seed(
                self.wrist(rows, name), primary.seeds
            )
            for name in self.laboratories
        }
        felt = self._by_seed(self.simulated(), primary.seeds)
        summaries, paired, spread = [], [], {}
        for metric_name, by_seed in {**real, "AUC of high arousal": felt}.items():
            of_part = [
                summary(k, metric_name, v, _SEED) for k, v in _mean(by_seed).items()
            ]
            for n in (*self.counts, ALL):
                names = {named(k, n) for k in ("faders", "supervised", "self-training")}
                names |= {named("no faders", n), "no labels"}
                some = [r for r in of_part if r["model"] in names]
                paired += paired_differences(some, named("faders", n), _SEED)
            summaries += [_short(row) for row in of_part]
            spread[metric_name] = {
                name: [round(_average(v[name]), 4) for v in by_seed.values()]
                for name in next(iter(by_seed.values()))
            }
        figures = Figures(
            dataset="four wrist laboratories; simulated participants",
            protocol="a laboratory left out, and held-out simulated participants; "
            "few of the training participants labelled",
            rows=tuple(summaries),
            paired=tuple(paired),
            details={"means by seed": spread},
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        judged = real[f"AUC, {self.laboratories[0]} left out"]
        return with_judgements(
            figures,
            FOLDER,
            real=self._over_counts(judged),
            simulated=self._over_counts(felt),
        )

    def _over_counts(self, by_seed: BySeed) -> BySeed:
        """Return the mean over the numbers of labelled participants, by model."""
        counts = (*self.counts, ALL)
        return {
            seed: {
                model: {
                    p: float(np.mean([scores[named(model, n)][p] for n in counts]))
                    for p in scores[named(model, ALL)]
                }
                for model in ("faders", "supervised", "self-training")
            }
            for seed, scores in by_seed.items()
        }

    def _by_seed(self, data: FewLabels, seeds: Sequence[int]) -> BySeed:
        counts = (*self.counts, ALL)
        return {s: scores(data, counts, self.draws, self.network, s) for s in seeds}

    def wrist(self, table: pd.DataFrame, laboratory: str) -> FewLabels:
        """Return the windows of all laboratories but one, and of that one."""
        parts = [
            People(
                rows[list(self.transforms)].to_numpy(np.float64),
                rows["stressed"].to_numpy(np.intp),
                (rows["dataset"] + " " + rows["subject"]).to_numpy(np.str_),
                rows["dataset"].to_numpy(np.str_),
            )
            for rows in held_out(table, self.transforms, laboratory)
        ]
        return FewLabels(list(self.transforms), self.tied, *parts)

    def simulated(self) -> FewLabels:
        """Return the minutes of simulated participants.

        A training minute is of class 1 if its rating is above the mean of the
        participant's ratings, a test minute if its true arousal is above the median.
        """
        train, test = self.participants
        taught = [self.minutes(p, rated=True) for p in people.training(train)]
        tested = [self.minutes(p, rated=False) for p in people.tested(test)]
        parts = (_joined(taught), _joined(tested))
        return FewLabels(list(self.columns), self.simulated_tied, *parts)

    def minutes(self, participant: SimulatedParticipant, *, rated: bool) -> People:
        """Return the minutes of a participant, every 20 s after the rest."""
        recipe = people.recipe()
        seed, z, ratings, felt = recipe.view(participant)
        at = [[name for name, _ in recipe.affect.joint].index(c) for c in self.columns]
        arousal = (ratings if rated else felt)[:, 1]
        level = float(np.mean(arousal))
        minutes = _minutes(arousal)
        if not rated:
            level = float(np.median(minutes))
        y = (minutes > level).astype(np.intp)
        names = np.full(len(y), str(seed))
        return People(_minutes(z[:, at]), y, names, np.full(len(y), "simulated"))


def _minutes(x: Array) -> Array:
    starts = range(0, len(x) - MINUTE + 1, STEP)
    out: Array = np.array([x[k : k + MINUTE].mean(axis=0) for k in starts])
    return out


def _joined(parts: Sequence[People]) -> People:
    return People(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _average(values: Mapping[str, float]) -> float:
    return float(np.nanmean(list(values.values())))


def _mean(by_seed: BySeed) -> dict[str, dict[str, float]]:
    """Return the mean over seeds, by model and participant."""
    parts = list(by_seed.values())
    return {
        name: {p: float(np.mean([part[name][p] for part in parts])) for p in values}
        for name, values in parts[0].items()
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without single participants if these are many."""
    few = row["per_participant"] if len(row["per_participant"]) < 100 else {}
    return {**row, "per_participant": few}
