"""State-space memory against the Gaussian smoother and against no memory."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.people import tested, training
from experiments.literature.wrist_rows import wrist_table
from experiments.state_space import simulated
from experiments.state_space.fit import FitConfig, fitted
from experiments.state_space.network import Fusion, Memory, NetworkConfig
from experiments.state_space.simulated import SimulatedSequence, squared_error
from experiments.state_space.wesad import SequenceModel, order_task
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.evaluation.evaluate import EvaluationOptions, evaluate
from physio.evaluation.figures import Figures
from physio.evaluation.splits import LeaveOrderOut
from physio.evaluation.statistics import paired_differences, summary

STATE_SPACE: Final = "state space"
NO_MEMORY: Final = "no memory"
SMOOTHER: Final = "Gaussian smoother"

_FOLDER: Final = Path(__file__).parent
_KINDS: Final[Mapping[str, tuple[Memory, Fusion]]] = {
    STATE_SPACE: ("state space", "entropy"),
    NO_MEMORY: ("none", "entropy"),
    "state space, equal weights": ("state space", "mean"),
    "state space, all sensors at once": ("state space", "joint"),
    "FC, all sensors at once": ("none", "joint"),
    "LSTM, all sensors at once": ("LSTM", "joint"),
}
_METRIC: Final = "negative squared error"


@dataclass(frozen=True)
class StateSpaceCheck:
    """Networks with and without memory, on simulated participants and WESAD.

    Parameters
    ----------
    people
        Number of simulated participants that train, and that test.
    epochs
        Epochs on simulated participants, and on WESAD.
    seed
        Seed of the bootstrap.
    """

    people: tuple[int, int] = (60, 120)
    epochs: tuple[int, int] = (20, 25)
    seed: int = 23

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Train and evaluate all networks with each seed."""
        began = time.monotonic()
        seeds = Primary.read(_FOLDER / FILE).seeds
        errors = self.simulated_scores(seeds)
        stress = self.wesad_scores(seeds, wrist_table(root, table))
        rows = [
            *_rows("arousal", _METRIC, errors, self.seed),
            *_rows("WESAD", "AUC, other order", stress, self.seed),
        ]
        return with_judgements(
            Figures(
                dataset="simulated participants, WESAD",
                protocol=f"{self.people[1]} held-out simulated participants; WESAD, "
                "other order held out",
                rows=tuple(rows),
                paired=tuple(
                    {**row, "dataset": front}
                    for front in ("arousal", "WESAD")
                    for row in paired_differences(
                        _named(rows, front), STATE_SPACE, self.seed
                    )
                ),
                config=config.describe(self),
                seconds=time.monotonic() - began,
            ),
            _FOLDER,
            real=stress,
            simulated=errors,
        )

    def simulated_scores(
        self, seeds: tuple[int, ...]
    ) -> dict[int, dict[str, dict[str, float]]]:
        """Return the negative error of arousal by seed, model and participant."""
        taught = simulated.sequences(training(self.people[0]))
        others = simulated.sequences(tested(self.people[1]))
        fixed = {
            SMOOTHER: _scores(others, simulated.smoother(others)),
            "joint Gaussian": _scores(others, simulated.gaussian_moments(others)),
        }
        out = {}
        for seed in seeds:
            out[seed] = dict(fixed)
            for name, (memory, fusion) in _KINDS.items():
                size = NetworkConfig(
                    simulated.sensors(), "ratings", memory, fusion, width=16
                )
                model = fitted(
                    size,
                    [p.x for p in taught],
                    [p.ratings for p in taught],
                    seed,
                    FitConfig(self.epochs[0]),
                )
                out[seed][name] = _scores(others, model.outputs([p.x for p in others]))
        return out

    def wesad_scores(
        self, seeds: tuple[int, ...], table: pd.DataFrame
    ) -> dict[int, dict[str, dict[str, float]]]:
        """Return the AUC of stress by seed, model and participant."""
        task = order_task(table)
        models: Mapping[str, Any] = {
            name: SequenceModel(memory, fusion, self.epochs[1])
            for name, (memory, fusion) in _KINDS.items()
        }
        out: dict[int, dict[str, dict[str, float]]] = {}
        for seed in seeds:
            options = EvaluationOptions(("AUC",), reference=STATE_SPACE, seed=seed)
            result = evaluate(task, LeaveOrderOut(), models, options)
            out[seed] = {
                name: {
                    p: float(v)
                    for p, v in result.figure(name, "AUC")["per_participant"].items()
                    if v is not None
                }
                for name in models
            }
        return out


def _scores(people: list[SimulatedSequence], means: list[Array]) -> dict[str, float]:
    arousal = DIMENSIONS.index("arousal")
    return {
        p.code: -squared_error(p, mean, arousal)
        for p, mean in zip(people, means, strict=True)
    }


def _rows(
    front: str,
    metric: str,
    scores: Mapping[int, Mapping[str, Mapping[str, float]]],
    seed: int,
) -> list[dict[str, Any]]:
    """Return a row of each model: the mean over seeds of each participant."""
    first = next(iter(scores.values()))
    return [
        summary(
            f"{front}: {name}",
            metric,
            {p: float(np.mean([s[name][p] for s in scores.values()])) for p in people},
            seed,
        )
        for name, people in first.items()
    ]


def _named(rows: list[dict[str, Any]], front: str) -> list[dict[str, Any]]:
    start = f"{front}: "
    return [
        {**row, "model": row["model"].removeprefix(start)}
        for row in rows
        if row["model"].startswith(start)
    ]
