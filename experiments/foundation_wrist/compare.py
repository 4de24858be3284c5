"""Encoders with a linear read-out against handcrafted features, laboratory left out."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from experiments.contrastive.compare import TESTED, Wrists, auc_of, draws
from experiments.contrastive.encoders import Pretraining, pretrained
from experiments.contrastive.minutes import EXAMS
from experiments.contrastive.probes import Labelled, Reading, Rows, changes, linear
from experiments.contrastive.simulated import minutes_of
from experiments.foundation_wrist.supplied import SuppliedEncoder
from experiments.literature import people
from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import wrist_table
from physio import config
from physio.core.block import Array
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import paired_differences, summary

HANDCRAFTED: Final = "handcrafted features"
BOTH: Final = "self-trained encoder"
_SENSORS: Final = {
    BOTH: ("skin", "heart"),
    "self-trained encoder, skin": ("skin",),
    "self-trained encoder, heart": ("heart",),
}
_FOLDER: Final = Path(__file__).parent
Figured = dict[str, dict[str, dict[str, float]]]
"""Score by model, metric and participant."""


@dataclass(frozen=True)
class FoundationWrist:
    """Frozen encoders with a linear read-out, each laboratory left out.

    Parameters
    ----------
    pretraining, reading
        Settings of the self-trained encoders and of the read-out.
    pretrain
        Laboratories whose unlabelled minutes train them, except the tested one.
    simulated
        Numbers of simulated participants, for training and for test.
    supplied
        A user's encoders by name.
    """

    pretraining: Pretraining = field(default_factory=Pretraining)
    reading: Reading = field(default_factory=Reading)
    pretrain: tuple[str, ...] = (EXAMS, "WESAD", "Stress-Predict", "Non-EEG")
    simulated: tuple[int, int] = (60, 200)
    supplied: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, encoder in self.supplied.items():
            if not isinstance(encoder, SuppliedEncoder):
                raise ValueError(
                    f"supplied.{name} is a {type(encoder).__name__}: it needs use = "
                    "'experiments.foundation_wrist.supplied:SuppliedEncoder'"
                )

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate the laboratory of the primary test and the simulated people.

        The other laboratories are evaluated with the first seed.
        """
        began = time.monotonic()
        primary = Primary.read(_FOLDER / FILE)
        truth = self._simulated(primary.seeds)
        rows = wrist_table(root, table)
        wrists = Wrists.read(root, rows, self.pretrain)
        embedded = {} if root is None else self._supplied(root, rows, wrists.data)
        by_lab: dict[str, dict[int, Figured]] = {}
        for lab in dict.fromkeys([TESTED, *wrists.data.minutes.laboratory.tolist()]):
            seeds = primary.seeds if lab == TESTED else primary.seeds[:1]
            by_lab[lab] = {s: self._laboratory(wrists, embedded, lab, s) for s in seeds}
        shown = [
            r
            for name, part in {**by_lab, "simulated": truth}.items()
            for r in _rows(name, part)
        ]
        result = Figures(
            "wristbands of four laboratories, and simulated participants",
            "laboratory left out of pre-training and training",
            tuple(shown),
            tuple(paired_differences(shown, HANDCRAFTED, primary.seeds[0])),
            notes=tuple(self._contamination()),
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        auc = {
            name: {
                seed: {m: v["AUC"] for m, v in by_model.items()}
                for seed, by_model in part.items()
            }
            for name, part in {"real": by_lab[TESTED], "simulated": truth}.items()
        }
        return with_judgements(
            result, _FOLDER, real=auc["real"], simulated=auc["simulated"]
        )

    def _contamination(self) -> Iterator[str]:
        """Yield a sentence on each of the user's encoders."""
        for name, encoder in self.supplied.items():
            known = ", ".join(encoder.trained_on) or "none"
            rest = "complete" if encoder.complete else "not known to be complete"
            yield (
                f"{name}: laboratories in its pre-training, which are not tested: "
                f"{known}; the list is {rest}."
            )

    def _supplied(
        self, root: Path, table: pd.DataFrame, data: Labelled
    ) -> dict[str, Array]:
        person, rest = data.minutes.person, data.rest
        return {
            name: changes(encoder.embeddings(root, table), person, rest)
            for name, encoder in self.supplied.items()
        }

    def _laboratory(
        self, wrists: Wrists, embedded: Mapping[str, Array], lab: str, seed: int
    ) -> Figured:
        data = wrists.data
        test = np.flatnonzero(data.used & (data.minutes.laboratory == lab))
        x = {HANDCRAFTED: wrists.features["features"]}
        x |= self._encoded(data, wrists.outside(lab), seed)
        x |= {
            k: z for k, z in embedded.items() if lab not in self.supplied[k].trained_on
        }
        return self._scored(data, x, test, seed)

    def _encoded(self, data: Labelled, minutes: Any, seed: int) -> dict[str, Array]:
        """Return the features of encoders trained on unlabelled minutes."""
        person, rest = data.minutes.person, data.rest
        trained = pretrained(minutes, self.pretraining, seed)
        random = pretrained(minutes, replace(self.pretraining, steps=0), seed)
        z = {
            name: changes(trained.embed(data.minutes, sensors), person, rest)
            for name, sensors in _SENSORS.items()
        }
        z["random encoder"] = changes(
            random.embed(data.minutes, _SENSORS[BOTH]), person, rest
        )
        return z

    def _scored(
        self, data: Labelled, x: Mapping[str, Array], test: Rows, seed: int
    ) -> Figured:
        ((_, train),) = draws(data, test, (0,), seed)
        out: Figured = {}
        for name, z in x.items():
            c = 1.0 if name == HANDCRAFTED else self.reading.c
            p = linear(z, data, train, test, replace(self.reading, c=c))
            out[name] = {"AUC": auc_of(data, p, test), "macro-F1": f1_of(data, p, test)}
        return out

    def _simulated(self, seeds: tuple[int, ...]) -> dict[int, Figured]:
        training, tested = self.simulated
        data, features = minutes_of(
            [*people.training(training), *people.tested(tested)]
        )
        person = data.minutes.person
        train = np.isin(person, np.unique(person)[:training])
        test = np.flatnonzero(data.used & ~train)
        given = data.minutes.take(train)
        return {
            seed: self._scored(
                data,
                {HANDCRAFTED: features, **self._encoded(data, given, seed)},
                test,
                seed,
            )
            for seed in seeds
        }


def f1_of(data: Labelled, p: Array, test: Rows) -> dict[str, float]:
    """Return the macro-F1 of each tested person at a probability of one half."""
    who, y = data.minutes.person[test], data.y[test]
    return {
        str(name): float(
            f1_score(y[who == name], p[who == name] > 0.5, average="macro")
        )
        for name in dict.fromkeys(who.tolist())
    }


def _rows(name: str, by_seed: Mapping[int, Figured]) -> Iterator[dict[str, Any]]:
    first = next(iter(by_seed.values()))
    for model, by_metric in first.items():
        for metric, by_person in by_metric.items():
            mean = {
                n: float(np.mean([s[model][metric][n] for s in by_seed.values()]))
                for n in by_person
            }
            yield summary(model, f"{name}: {metric}", mean, 23)
