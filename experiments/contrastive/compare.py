"""Contrastive pre-training against none and against plain features."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from experiments.contrastive.audit import contamination, refused
from experiments.contrastive.encoders import (
    Encoders,
    Pretraining,
    pretrained,
    retrieval,
)
from experiments.contrastive.minutes import EXAMS, Minutes, read
from experiments.contrastive.probes import (
    Labelled,
    Reading,
    Rows,
    changes,
    linear,
    read_whole,
    whole,
)
from experiments.contrastive.simulated import minutes_of, mispaired
from experiments.literature import people
from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import stress_task, wrist_table
from physio import config
from physio.core.block import Array
from physio.evaluation import metrics
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import paired_differences, summary

FEATURES: Final = {
    "features": {"eda.log_slope": "raw", "eda.activity": "log", "heart.certain": "raw"},
    "plain features": {
        "plain.slope": "raw",
        "plain.activity": "raw",
        "device.rate": "raw",
    },
}
"""Columns of the features of ``wrist``, and of those of the encoders' own signals."""

PRETRAINED, WITHOUT = "pre-trained", "not pre-trained"
TESTED: Final = "EmoPairCompete"
MEAN: Final = "mean"
_FOLDER: Final = Path(__file__).parent
_FEATURE_C: Final = 1.0

Scores = dict[str, dict[str, dict[str, float]]]
"""AUC by model, number of labelled participants (and `MEAN`), and participant."""


class Wrists(NamedTuple):
    """Labelled minutes of four laboratories, features of them, and unlabelled minutes.

    ``features``: changes from rest by name, 0 where unknown, shape (n, k); ``clock``:
    seconds since the begin, shape (n,).
    """

    data: Labelled
    features: dict[str, Array]
    clock: Array
    unlabelled: dict[str, Minutes]

    @classmethod
    def read(
        cls, root: Path | None, table: pd.DataFrame | None, pretrain: Sequence[str]
    ) -> "Wrists":
        """Read the laboratories from a folder, with a table of windows if given."""
        if root is None:
            raise ValueError(
                "the signals of the wristbands are read from --data (wesad, "
                "stress_predict, emopair, noneeg, exam_stress)"
            )
        rows = wrist_table(root, table)
        task = stress_task(
            rows, {k: t for f in FEATURES.values() for k, t in f.items()}
        )
        minutes, without = read(root, rows, pretrain)
        y = rows["stressed"].to_numpy().astype(int)
        data = Labelled(
            minutes, y, np.asarray(task.calibration), np.asarray(task.included)
        )
        features = {
            name: np.nan_to_num(task.table[list(columns)].to_numpy(np.float64))
            for name, columns in FEATURES.items()
        }
        clock = rows["start_s"].to_numpy(np.float64)
        return cls(data, features, clock, without)

    def outside(self, laboratory: str) -> Minutes:
        """Return the unlabelled minutes of the other laboratories, audited.

        Raises
        ------
        ValueError
            If a tested person, or a sample of one, is among them.
        """
        minutes = Minutes.joined(
            [m for name, m in self.unlabelled.items() if name != laboratory]
        )
        lab = self.data.minutes.laboratory == laboratory
        refused(contamination(minutes, self.data.minutes.take(lab)), laboratory)
        return minutes


@dataclass(frozen=True)
class ContrastivePretraining:
    """Pre-training on unlabelled wrists, judged on a laboratory left out.

    Parameters
    ----------
    pretraining, reading
        Settings of the encoders and of the read-out.
    pretrain
        Laboratories whose unlabelled minutes are used, except the tested one.
    tested
        Laboratories that are left out, each in turn.
    labelled
        Numbers of labelled training participants; 0 for all.
    simulated
        Numbers of simulated participants, for training and for test.
    """

    pretraining: Pretraining = field(default_factory=Pretraining)
    reading: Reading = field(default_factory=Reading)
    pretrain: tuple[str, ...] = (EXAMS, "WESAD", "Stress-Predict", "Non-EEG")
    tested: tuple[str, ...] = (TESTED,)
    labelled: tuple[int, ...] = (1, 2, 5, 0)
    simulated: tuple[int, int] = (60, 200)

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate the laboratories and the simulated people with each seed."""
        began = time.monotonic()
        primary = Primary.read(_FOLDER / FILE)
        truth, details = self._simulated(primary.seeds)
        wrists = Wrists.read(root, table, self.pretrain)
        by_lab: dict[str, dict[int, Scores]] = {}
        for lab in self.tested:
            by_lab[lab] = {s: self._laboratory(wrists, lab, s) for s in primary.seeds}
        parts = {TESTED: by_lab[TESTED], "simulated": truth}
        rows = [r for name, part in parts.items() for r in _rows(name, part)]
        result = Figures(
            "wristbands of four laboratories, and simulated participants",
            "laboratory left out of pre-training and training",
            tuple(rows),
            tuple(paired_differences(rows, PRETRAINED, primary.seeds[0])),
            details={
                **details,
                "laboratories": {k: table_of(v) for k, v in by_lab.items()},
                "minutes": {k: len(m) for k, m in wrists.unlabelled.items()},
            },
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(
            result,
            _FOLDER,
            real={s: mean_scores(v) for s, v in by_lab[TESTED].items()},
            simulated={s: mean_scores(v) for s, v in truth.items()},
        )

    def _laboratory(self, wrists: Wrists, laboratory: str, seed: int) -> Scores:
        data = wrists.data
        minutes = wrists.outside(laboratory)
        tested = data.minutes.laboratory == laboratory
        test = np.flatnonzero(data.used & tested)
        scores = self.compared(
            data, wrists.features, self._encoders(minutes, seed), test, seed
        )
        clock = auc_of(data, _rising(wrists.clock[test]), test)
        return {**scores, "clock": _same(clock, self.labelled)}

    def _encoders(self, minutes: Minutes, seed: int) -> dict[str, Encoders]:
        untrained = replace(self.pretraining, steps=0)
        return {
            PRETRAINED: pretrained(minutes, self.pretraining, seed),
            WITHOUT: pretrained(minutes, untrained, seed),
        }

    def compared(
        self,
        data: Labelled,
        features: Mapping[str, Array],
        encoders: Mapping[str, Encoders],
        test: Rows,
        seed: int,
    ) -> Scores:
        """Return the scores of all models on test rows; all other people may train.

        The labelled participants are drawn by the seed; fewer are among more.
        """
        scores: Scores = {}
        z = {k: self.embedded(data, e) for k, e in encoders.items()}
        for count, train in draws(data, test, self.labelled, seed):
            p = {
                PRETRAINED: linear(z[PRETRAINED], data, train, test, self.reading),
                "random encoder": linear(z[WITHOUT], data, train, test, self.reading),
            }
            trained = whole(encoders[WITHOUT], data, train, self.reading, seed)
            p[WITHOUT] = read_whole(trained, data, test, self.reading)
            plain = replace(self.reading, c=_FEATURE_C)
            for name, x in features.items():
                p[name] = linear(x, data, train, test, plain)
            both = logit(np.clip([p[PRETRAINED], p["features"]], 1e-6, 1 - 1e-6))
            p["pre-trained and features"] = expit(both.mean(axis=0))
            for name, values in p.items():
                scores.setdefault(name, {})[count] = auc_of(data, values, test)
        return {k: _averaged(v) for k, v in scores.items()}

    def embedded(self, data: Labelled, encoders: Encoders) -> Array:
        """Return the features of frozen encoders as changes from rest."""
        minutes = data.minutes
        z = encoders.embed(minutes, self.reading.sensors)
        return changes(z, minutes.person, data.rest)

    def _simulated(
        self, seeds: Sequence[int]
    ) -> tuple[dict[int, Scores], dict[str, Any]]:
        """Return the scores on simulated people by seed, and how pairs are pairs."""
        training, tested = self.simulated
        crowd = [*people.training(training), *people.tested(tested)]
        data, features = minutes_of(crowd)
        train = np.isin(data.minutes.person, np.unique(data.minutes.person)[:training])
        test = np.flatnonzero(data.used & ~train)
        given = data.minutes.take(train)
        unseen = data.minutes.take(~train)
        scores, pairs = {}, {}
        for seed in seeds:
            encoders = self._encoders(given, seed)
            scores[seed] = self.compared(
                data, {"features": features}, encoders, test, seed
            )
            pair = ("skin", "heart")
            pairs[seed] = {
                name: retrieval(e, unseen, pair, seed) for name, e in encoders.items()
            }
        seed = seeds[0]
        other = pretrained(mispaired(given, seed), self.pretraining, seed)
        pairs[seed]["mispaired"] = retrieval(other, unseen, ("skin", "heart"), seed)
        z = self.embedded(data, other)
        lone = _averaged(
            {
                count: auc_of(data, linear(z, data, rows, test, self.reading), test)
                for count, rows in draws(data, test, self.labelled, seed)
            }
        )
        mean = {
            k: round(float(np.nanmean(list(v.values()))), 3) for k, v in lone.items()
        }
        details = {"pairs found of 16": pairs, "simulated": table_of(scores)}
        return scores, {**details, "mispaired sensors": {seed: mean}}


def draws(
    data: Labelled, test: Rows, counts: Sequence[int], seed: int
) -> Iterator[tuple[str, Rows]]:
    """Yield numbers of labelled participants and their training rows; 0 is all."""
    outside = ~np.isin(
        data.minutes.laboratory, np.unique(data.minutes.laboratory[test])
    )
    if not outside.any():  # one laboratory: people left out
        outside = ~np.isin(data.minutes.person, np.unique(data.minutes.person[test]))
    pool = np.flatnonzero(data.used & outside)
    names = np.unique(data.minutes.person[pool])
    both = [
        n for n in names if len(set(data.y[pool][data.minutes.person[pool] == n])) > 1
    ]
    order = np.random.default_rng(seed).permutation(both)
    for count in counts:
        drawn = order[:count] if count else order
        yield str(count or "all"), pool[np.isin(data.minutes.person[pool], drawn)]


def auc_of(data: Labelled, p: Array, test: Rows) -> dict[str, float]:
    """Return the AUC of each tested person."""
    who, y = data.minutes.person[test], data.y[test]
    both = np.stack([1 - p, p], axis=1)
    return {
        str(name): float(metrics.auc(y[who == name], both[who == name]))
        for name in dict.fromkeys(who.tolist())
    }


def _rising(x: Array) -> Array:
    return (x - x.min()) / max(np.ptp(x), 1.0)


def _same(auc: dict[str, float], counts: Sequence[int]) -> dict[str, dict[str, float]]:
    return {**{str(c or "all"): auc for c in counts}, MEAN: auc}


def _averaged(by_count: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    people_ = next(iter(by_count.values()))
    mean = {n: float(np.mean([v[n] for v in by_count.values()])) for n in people_}
    return {**by_count, MEAN: mean}


def mean_scores(scores: Scores, count: str = MEAN) -> dict[str, dict[str, float]]:
    """Return the AUC by model and participant, at a number of labelled ones."""
    return {model: by_count[count] for model, by_count in scores.items()}


def _over_seeds(
    scores: Mapping[int, Scores], model: str, count: str
) -> dict[str, float]:
    parts = [by_model[model][count] for by_model in scores.values()]
    return {n: float(np.mean([p[n] for p in parts])) for n in parts[0]}


def _rows(name: str, scores: Mapping[int, Scores]) -> Iterator[dict[str, Any]]:
    """Yield result rows: AUC of each model by number of labelled participants."""
    first = next(iter(scores.values()))
    for model, by_count in first.items():
        for count in by_count:
            shown = f"{name}: AUC, {count}" + (" labelled" if count != MEAN else "")
            yield summary(model, shown, _over_seeds(scores, model, count), 23)


def table_of(scores: Mapping[int, Scores]) -> dict[str, dict[str, Any]]:
    """Return mean AUC by model and number of labelled ones, and that of each seed."""
    out: dict[str, dict[str, Any]] = {}
    first = next(iter(scores.values()))
    for model, by_count in first.items():
        out[model] = {
            count: round(
                float(np.nanmean(list(_over_seeds(scores, model, count).values()))), 3
            )
            for count in by_count
        }
        out[model]["by_seed"] = [
            round(float(np.nanmean(list(s[model][MEAN].values()))), 3)
            for s in scores.values()
        ]
    return out
