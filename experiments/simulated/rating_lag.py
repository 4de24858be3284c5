"""Lag of continuous ratings behind affect, and the value of removing it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.simulated.cohort import SimulatedCohort
from experiments.simulated.device_subsets import LATER, estimator
from experiments.weights.published import TRACKER, TrainPublishedExperts
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.core.stage import StageRunner
from physio.evaluation.metrics import concordance, correlation
from physio.evaluation.statistics import paired_differences, summary

_EVERY: Final = 1.0  # s between reports
_MOST: Final = 40.0  # s, largest lag between two traces
_AROUSAL: Final = DIMENSIONS.index("arousal")


@dataclass(frozen=True)
class RatingLag:
    """Estimation of the rating lag on training participants, and its use on others.

    Each participant reports once a second, by a dial, their affect of some seconds ago,
    with a rater's noise. The lag of estimates behind affect is known for simulated
    participants; the lag of reports behind estimates is measured; their sum is the lag
    of reports behind affect. Estimates for held-out participants are then scored
    against reports as given, and against reports moved forward by the lag measured in
    the training participants.

    Parameters
    ----------
    affect
        The training run, whose weights are in the package.
    participants, tested
        Number of training participants, for the lag, and of test participants.
    lags
        Range of the lags (s), from which each participant's lag is drawn.
    seed
        Seed of lags, noise and the bootstrap.
    """

    affect: TrainPublishedExperts
    participants: int = 30
    tested: int = 30
    lags: tuple[float, float] = (1.0, 6.0)
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = SimulatedCohort(a.devices, a.chains, a.seconds, 0.0, root)
        taught = [
            self._arousal_traces(crowd, a.first + i) for i in range(self.participants)
        ]
        tested = [
            self._arousal_traces(crowd, a.first_tested + i) for i in range(self.tested)
        ]
        late = behind([t[:2] for t in taught])  # estimates behind affect
        apart = behind([(t[2], t[0]) for t in taught])  # reports behind estimates
        lag = late + apart
        true = float(np.mean([t[3] for t in taught]))
        figures: dict[str, dict[str, dict[str, float]]] = {"r": {}, "ccc": {}}
        for i, (estimated, _, reports, _) in enumerate(tested):
            code = str(a.first_tested + i)
            for way, by in (("as reported", 0.0), ("lag taken off", lag)):
                ahead = _ahead(reports, by)
                both = np.isfinite(estimated) & np.isfinite(ahead)
                for kind, measure in (("r", correlation), ("ccc", concordance)):
                    figure = measure(ahead[both], estimated[both, None])
                    figures[kind].setdefault(way, {})[code] = figure
        rows = [
            summary(way, f"arousal {metric} with reports", per_participant, self.seed)
            for metric, ways in figures.items()
            for way, per_participant in ways.items()
        ]
        more = paired_differences(rows, "lag taken off", self.seed)
        short = [
            {k: v for k, v in r.items() if k != "per_participant"}
            for r in (*rows, *more)
        ]
        return {
            "dataset": "simulated participants, effects as published",
            "protocol": f"lag from {self.participants} participants, evaluated on "
            f"{self.tested} others",
            "lag_s": {
                "estimates behind what is felt": late,
                "reports behind estimates": apart,
                "reports behind what is felt, found": lag,
                "reports behind what is felt, true mean": round(true, 2),
            },
            "rows": short,
            "config": config.describe(self),
            "versions": {"numpy": version("numpy")},
            "seconds": round(time.monotonic() - began, 1),
            "table": "\n".join(
                [
                    f"reports lag {lag:g} s (true mean {true:.2f})",
                    *(
                        f"{r['model']:14}  {r['metric']:28}  {r['mean']:.3f}"
                        for r in rows
                    ),
                ]
            ),
        }

    def _arousal_traces(
        self, crowd: SimulatedCohort, seed: int
    ) -> tuple[Array, Array, Array, float]:
        """Return estimated, true and reported arousal each second, and the lag."""
        participant = crowd.participant(seed)
        block = crowd.block(participant, _EVERY, without=())
        stage = estimator([TRACKER])
        estimated = StageRunner(stage, block.info).push(block).column("arousal")
        rng = np.random.default_rng((self.seed, seed))
        lag = float(rng.uniform(*self.lags))
        felt = participant.felt[:, _AROUSAL]
        then = np.maximum(np.arange(len(felt)) - round(4 * lag), 0)
        step = round(4 * _EVERY)
        reports = felt[then][::step]
        noise = rng.normal(0, self.affect.rater, len(reports))
        reports = np.clip(reports + noise, -1, 1)
        n, first = min(len(estimated), len(reports)), int(LATER / _EVERY)
        return estimated[first:n], felt[::step][first:n], reports[first:n], lag


def behind(pairs: Sequence[tuple[Array, Array]]) -> float:
    """Return the lag of the first trace of each pair behind the second (s).

    It is the lag of the highest correlation over all pairs, each trace centred.
    """
    steps = np.arange(-round(_MOST / _EVERY), round(_MOST / _EVERY) + 1)
    sums = np.zeros((len(steps), 3))
    for a, b in pairs:
        for i, k in enumerate(steps.tolist()):
            x = a[k:] if k >= 0 else a[:k]
            y = b[: len(b) - k] if k >= 0 else b[-k:]
            both = np.isfinite(x) & np.isfinite(y)
            u, v = x[both] - x[both].mean(), y[both] - y[both].mean()
            sums[i] += u @ v, u @ u, v @ v
    r = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
    return float(steps[int(np.argmax(r))] * _EVERY)


def _ahead(reports: Array, by: float) -> Array:
    """Return the reports made ``by`` s later, NaN where there is none."""
    k = round(by / _EVERY)
    moved = np.full(len(reports), np.nan)
    if k >= 0:
        moved[: len(reports) - k] = reports[k:]
    else:
        moved[-k:] = reports[:k]
    return moved
