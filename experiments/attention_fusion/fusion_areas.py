"""Evaluation of attention over sensors, on wrists and on simulated participants."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.attention_fusion import simulated_masks, wrist_masks
from experiments.attention_fusion.sensor_attention import FusionConfig
from experiments.cross_laboratory.models import ChangeGaussian, ChangeRegression
from experiments.literature import people
from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import wrist_table
from physio import config
from physio.evaluation.figures import Figures
from physio.evaluation.models.baselines import Model
from physio.evaluation.statistics import paired_differences, summary

FOLDER: Final = Path(__file__).parent
CANDIDATE: Final = "attention, triplet"
ABLATED: Final = "attention"
GAUSSIAN: Final = "joint Gaussian"
_SEED: Final = 23

Areas = dict[str, dict[str, dict[str, float]]]
"""Areas by mode, model and participant."""


@dataclass(frozen=True)
class AttentionFusion:
    """Areas under skill over the missing rate, of attention and its rivals.

    Parameters
    ----------
    transforms
        Transform of each feature of the wrist before the mean of the rest is
        subtracted.
    sensors
        Features of each sensor of the wrist.
    shipped
        Features of the weights ``wrist``.
    laboratories
        Laboratories that are left out in turn.
    simulated, wrist
        Settings of the networks; without the triplet loss for the ablation.
    participants
        Number of simulated participants, training and test.
    """

    transforms: Mapping[str, str]
    sensors: Mapping[str, tuple[str, ...]]
    shipped: tuple[str, ...]
    laboratories: tuple[str, ...]
    simulated: FusionConfig = field(default_factory=FusionConfig)
    wrist: FusionConfig = field(default_factory=FusionConfig)
    participants: tuple[int, int] = (150, 300)

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Train and test on wrists and on simulated participants, by seed."""
        began = time.monotonic()
        primary = Primary.read(FOLDER / FILE)
        real = self._wrists(wrist_table(root, table), primary.seeds)
        felt = self._simulated(primary.seeds)
        rows, paired, spread = [], [], {}
        for metric_name, by_seed in {**real, "arousal skill": felt}.items():
            of_part = []
            for mode in (*next(iter(by_seed.values())), "mean of modes"):
                for name, values in _mean(by_seed, mode).items():
                    metric = f"area under {metric_name}, {mode}"
                    of_part.append(summary(name, metric, values, _SEED))
                spread[f"{metric_name}, {mode}"] = _spread(by_seed, mode)
            paired += paired_differences(of_part, CANDIDATE, _SEED)
            rows += [_short(row) for row in of_part]
        figures = Figures(
            dataset="four wrist laboratories; simulated participants",
            protocol="a laboratory left out, and held-out simulated participants; "
            "missing rate 0 to 1",
            rows=tuple(rows),
            paired=tuple(paired),
            details={"means by seed": spread},
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        judged = f"AUC, {self.laboratories[0]} left out"
        return with_judgements(
            figures,
            FOLDER,
            real={s: _over_modes(a) for s, a in real[judged].items()},
            simulated={s: _over_modes(a) for s, a in felt.items()},
        )

    def _wrists(
        self, table: pd.DataFrame, seeds: tuple[int, ...]
    ) -> dict[str, dict[int, Areas]]:
        columns = tuple(c for some in self.sensors.values() for c in some)
        alone = replace(self.wrist, triplet=0.0)
        fixed: dict[str, Model] = {
            GAUSSIAN: ChangeGaussian(columns),
            "joint Gaussian, features of wrist": ChangeGaussian(self.shipped),
            "regression": ChangeRegression(columns),
        }
        seeded: dict[str, Model] = {
            CANDIDATE: wrist_masks.SensorFusion(self.sensors, self.wrist),
            ABLATED: wrist_masks.SensorFusion(self.sensors, alone),
            "attention, masks alone": wrist_masks.SensorFusion(
                self.sensors, self.wrist, blind=True
            ),
        }
        out: dict[str, dict[int, Areas]] = {}
        for name in self.laboratories:
            laboratory = wrist_masks.HeldOutLaboratory.of(
                table, self.transforms, self.sensors, name
            )
            same = {k: laboratory.areas(m, _SEED) for k, m in fixed.items()}
            out[f"AUC, {name} left out"] = {
                seed: _by_mode(
                    {
                        **{k: laboratory.areas(m, seed) for k, m in seeded.items()},
                        **same,
                    }
                )
                for seed in seeds
            }
        return out

    def _simulated(self, seeds: tuple[int, ...]) -> dict[int, Areas]:
        recipe = people.recipe()
        train, test = self.participants
        taught = [simulated_masks.view(p) for p in people.training(train)]
        tested = [simulated_masks.view(p) for p in people.tested(test)]
        fixed: dict[str, simulated_masks.Reads] = {
            k: simulated_masks.by_row(v) for k, v in recipe.gaussians().items()
        }
        fixed["joint Gaussian, same training participants"] = simulated_masks.gaussian(
            taught
        )
        same = simulated_masks.areas(tested, fixed, recipe)
        out: dict[int, Areas] = {}
        for seed in seeds:
            reads = {
                name: simulated_masks.trained(taught, settings, seed, recipe)
                for name, settings in (
                    (CANDIDATE, self.simulated),
                    (ABLATED, replace(self.simulated, triplet=0.0)),
                )
            }
            learned = simulated_masks.areas(tested, reads, recipe)
            out[seed] = {mode: {**learned[mode], **same[mode]} for mode in learned}
        return out


def _by_mode(by_model: Mapping[str, dict[str, dict[str, float]]]) -> Areas:
    return {
        mode: {name: areas[mode] for name, areas in by_model.items()}
        for mode in wrist_masks.MODES
    }


def _over_modes(areas: Areas) -> dict[str, dict[str, float]]:
    """Return the mean over modes, by model and participant."""
    first = next(iter(areas.values()))
    return {
        name: {
            p: float(np.mean([areas[mode][name][p] for mode in areas])) for p in values
        }
        for name, values in first.items()
    }


def _picked(mode: str) -> Callable[[Areas], dict[str, dict[str, float]]]:
    return lambda areas: areas[mode] if mode in areas else _over_modes(areas)


def _mean(by_seed: Mapping[int, Areas], mode: str) -> dict[str, dict[str, float]]:
    """Return the mean over seeds, by model and participant."""
    parts = [_picked(mode)(areas) for areas in by_seed.values()]
    return {
        name: {p: float(np.mean([part[name][p] for part in parts])) for p in values}
        for name, values in parts[0].items()
    }


def _spread(by_seed: Mapping[int, Areas], mode: str) -> dict[str, list[float]]:
    """Return the mean over participants of each seed, by model."""
    parts = [_picked(mode)(areas) for areas in by_seed.values()]
    return {
        name: [round(float(np.nanmean(list(p[name].values()))), 4) for p in parts]
        for name in (CANDIDATE, ABLATED)
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without single participants if these are many."""
    few = row["per_participant"] if len(row["per_participant"]) < 100 else {}
    return {**row, "per_participant": few}
