"""Training run of the published-* experts on simulated participants."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from experiments.simulated import device_subsets
from experiments.simulated.cohort import CHAINS, SimulatedCohort, SimulatedParticipant
from experiments.weights import dynamics, error_model
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Origin
from physio.core.filename import valid_name
from physio.core.stage import Stage, StageRunner
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.models.fusion import nearest
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk
from physio.models.gp_smoother import GaussianSmoother, GaussianSmootherConfig
from physio.models.model_card import load
from physio.training.gaussian import TrainingSamples, centred, rests
from physio.training.save_weights import minimal_card, store

Columns = tuple[tuple[str, str], ...]

TRACKER: Final = "published-track"
"""Name of the weights that estimate from the last minutes."""

_RESULTS: Final = "experiments/weights/results/published.json"
_SHRINK: Final = 0.05
_ALARM: Final = 0.01  # proportion of held-out moments that count as novel
_PAST: Final = (
    " The estimate uses the last 400 s; a baseline is not needed and has no effect."
)
_LIMITS: Final = (
    "Trained on simulated participants: no result holds for people. On measured "
    "input these weights do not answer unless demo weights are allowed.",
    "Effects are as small as in the literature: valence and dominance are hardly "
    "predictable, and their intervals are accordingly wide.",
)


class Fitted(NamedTuple):
    """A fitted expert, and its outputs for held-out participants.

    ``held_out``: mean and standard deviation at each moment of each training
    participant, held out of the fit, shape (n, 2, 3); ``limit``: see
    `Gaussian.surprise`; ``widths``: half-widths of intervals in standard deviations,
    see `experiments.weights.error_model.widths`.
    """

    model: Gaussian | GaussianSmoother
    held_out: list[Array]
    limit: float
    widths: Array


@dataclass(frozen=True)
class TrainPublishedExperts:
    """Training and evaluation of experts on each kind of sensor.

    A field for each key of a training file, hence more than 14 fields.

    Parameters
    ----------
    devices
        Devices of each participant: see `experiments.simulated.cohort.SimulatedCohort`.
    experts
        Features of each expert, and their transforms.
    participants, first
        Number of participants to train on, and the seed of the first.
    tested, first_tested, fewer
        Number of participants to test on, and the seed of the first; number of these
        tested with fewer devices.
    seconds, rest
        Duration of each recording, and of the rest (s).
    every
        Time between the moments of training and test (s).
    folds
        Number of folds of participants.
    personal
        Ratings with an offset per participant that is learned from labels: those where
        the offset improves estimates of held-out participants
        (experiments/simulated/results/label-calibration.json).
    rater
        Standard deviation of the rater's noise, on [-1, 1].
    seed
        Of the rater's noise and the bootstrap.
    """

    devices: Mapping[str, Any]
    experts: Mapping[str, Columns]
    chains: Mapping[str, str] = field(default_factory=lambda: dict(CHAINS))
    participants: int = 400
    first: int = 10_000
    tested: int = 300
    fewer: int = 60
    first_tested: int = 20_000
    seconds: float = 600.0
    rest: float = 60.0
    every: float = 4.0
    folds: int = 4
    personal: tuple[str, ...] = ("arousal",)
    rater: float = 0.2
    seed: int = 23

    def __post_init__(self) -> None:
        for name in self.experts:
            valid_name(name, "a set of weights")

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train, evaluate and store the experts and the joint models.

        Parameters
        ----------
        root
            Folder that stores simulated participants once they are computed, if any.
        out
            Folder for the weights.
        """
        began = time.monotonic()
        crowd = SimulatedCohort(self.devices, self.chains, self.seconds, 0.0, root)
        seeds = range(self.first, self.first + self.participants)
        participants = [crowd.participant(s) for s in seeds]
        sets = {**self.experts, "published-all": self.joint}
        fitted = {name: self.expert(participants, cols) for name, cols in sets.items()}
        sets[TRACKER], fitted[TRACKER] = self.joint, self.tracker(participants)
        ratings = [self.rated(p)[0] for p in participants]
        felt = [self.rated(p)[1] for p in participants]
        marks = {}
        offset = np.isin(DIMENSIONS, self.personal).astype(np.float64)
        for name, cols in sets.items():
            moved = [self.moments(p, cols) for p in participants]
            rest = rests(moved, self.every)
            card = self._card(cols, type(fitted[name].model))
            prior = fitted[name].model.prior
            more = {
                "density.limit": np.array([fitted[name].limit]),
                "interval.widths": fitted[name].widths,
                "participant.cov": offset[:, None, None]
                * error_model.participants(ratings, fitted[name].held_out),
            }
            folder = out / name
            marks[name] = store(
                folder, card, fitted[name].model, rest, prior, more
            ).card.sha256
        outputs = {name: f.held_out for name, f in fitted.items()}
        prior = fitted["published-all"].model.prior
        names = list(self.experts)
        errors = error_model.correlations(
            felt, [outputs[n] for n in names], prior, self.rater
        )
        error_model.keep(names, errors, marks)
        scores = self.scores(crowd, out, names, errors)
        return {
            "dataset": "simulated participants, effects as published",
            "protocol": f"{self.tested} held-out participants, against true affect",
            "participants": [
                f"seed {self.first_tested + i}" for i in range(self.tested)
            ],
            **scores,
            "errors": {"experts": names, "correlation": np.round(errors, 3).tolist()},
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy")},
            "weights": marks,
            "seconds": round(time.monotonic() - began, 1),
        }

    def scores(
        self, crowd: SimulatedCohort, out: Path, names: Sequence[str], errors: Array
    ) -> dict[str, Any]:
        """Return scores in held-out participants, with all devices and with fewer.

        Parameters
        ----------
        crowd
            Simulated participants.
        out
            Folder of the weights.
        names
            Names of the fused experts.
        errors
            Correlations of their errors, (3, k, k).
        """
        participants = [
            crowd.participant(self.first_tested + i) for i in range(self.tested)
        ]
        truth = [
            device_subsets.true_affect(p, self.every, self.rater, self.seed)
            for p in participants
        ]
        arrays = load(str(out / names[0])).arrays
        prior = arrays["prior.mean"], arrays["prior.sd"]
        stages = {
            "fused": device_subsets.estimator(names, out),
            "joint": device_subsets.estimator(["published-all"], out),
            "tracker": device_subsets.estimator([TRACKER], out),
        }
        positive = np.stack([nearest(e) for e in errors])
        subsets = {}
        for off in device_subsets.subsets():
            tested = participants[: self.fewer] if off else participants
            models = self._subset_outputs(crowd, tested, stages, names, off)
            squared = device_subsets.squared_errors(
                models, truth[: len(tested)], prior[0]
            )
            worn = " + ".join(d for d in device_subsets.DEVICES if d not in off)
            subsets[worn] = device_subsets.subset_skills(squared, self.seed)
            if not off:
                complete = models
        for i in range(len(participants)):
            experts = [complete[name][i] for name in names]
            fused = device_subsets.alternative_fusions(experts, names, prior, positive)
            for name, output in fused.items():
                complete.setdefault(name, []).append(output)
        squared = device_subsets.squared_errors(complete, truth, prior[0])
        rows = [
            row
            for name, outputs in complete.items()
            for row in device_subsets.result_rows(
                name, outputs, truth, squared[name], self.seed
            )
        ]
        return {
            "rows": rows,
            "subsets": subsets,
            "less the others": device_subsets.skill_differences(squared, self.seed),
            "table": device_subsets.printed(rows),
        }

    def _subset_outputs(
        self,
        crowd: SimulatedCohort,
        participants: Sequence[SimulatedParticipant],
        stages: Mapping[str, Stage],
        names: Sequence[str],
        off: Sequence[str],
    ) -> dict[str, list[device_subsets.Outputs]]:
        """Return the outputs of experts and stages with some devices off."""
        chains = tuple(c for d in off for c in device_subsets.DEVICES[d])
        begin = device_subsets.first_scored(self.every)
        models: dict[str, list[device_subsets.Outputs]] = {}
        for participant in participants:
            block = crowd.block(participant, self.every, without=chains)
            for name, stage in stages.items():
                estimates = StageRunner(stage, block.info).push(block)
                for expert in (*names, "") if name == "fused" else ("",):
                    models.setdefault(expert or name, []).append(
                        device_subsets.outputs(estimates, expert, begin)
                    )
        return models

    @property
    def joint(self) -> Columns:
        """The features of all experts."""
        return tuple(c for columns in self.experts.values() for c in columns)

    def moments(
        self, participant: SimulatedParticipant, columns: Columns
    ) -> TrainingSamples:
        """Return the moments of a participant that can be learned from."""
        at = [participant.names.index(name) for name, _ in columns]
        x = transform(participant.x[:, at], [kinds for _, kinds in columns])
        step = round(self.every * 4)
        resting = BaselineAccumulator.empty(len(at))
        for row in x[: int(self.rest * 4) : step]:
            resting.add(row, self.every)
        later = np.arange(int(self.rest * 4), len(x), step)
        ratings = self.rated(participant)[0]
        unit = np.zeros(len(later), np.int_)
        return TrainingSamples(
            str(participant.seed), x[later], ratings, unit, resting, 0
        )

    def rated(self, participant: SimulatedParticipant) -> tuple[Array, Array]:
        """Return ratings and true affect at each moment, (n, 3) each."""
        rng = np.random.default_rng((self.seed, participant.seed))
        felt = participant.felt[int(self.rest * 4) :: round(self.every * 4)]
        noisy = np.clip(felt + rng.normal(0, self.rater, felt.shape), -1, 1)
        return np.round(noisy * 4) / 4, felt  # nine steps

    def expert(
        self, participants: Sequence[SimulatedParticipant], columns: Columns
    ) -> Fitted:
        """Fit an expert, with its shrinkage from held-out participants."""
        samples = [self.moments(p, columns) for p in participants]
        held_out_outputs: list[Array] = [np.empty(0)] * len(samples)
        odd: list[float] = []
        size = GaussianConfig(len(columns))
        for k in range(self.folds):
            others = [p for i, p in enumerate(samples) if i % self.folds != k]
            rest = rests(others, self.every)
            model = shrunk(size, *_fit(size, others, rest), _SHRINK, np.zeros(3))
            for i in range(k, len(samples), self.folds):
                z, extra = centred(samples[i], rest)
                held_out_outputs[i] = np.array(
                    [np.stack(model.predict(row, extra)) for row in z]
                )
                odd += [model.novelty(row, extra) for row in z[::10]]
        rest = rests(samples, self.every)
        model = shrunk(size, *_fit(size, samples, rest), _SHRINK, np.zeros(3))
        share = error_model.slopes(
            [p.ratings for p in samples], held_out_outputs, model.prior[0]
        )
        ratings = [p.ratings for p in samples]
        drawn, outputs = error_model.drawn(model, share, ratings, held_out_outputs)
        limit = float(np.nanquantile(odd, 1 - _ALARM))
        return Fitted(drawn, outputs, limit, error_model.widths(ratings, outputs))

    def tracker(self, participants: Sequence[SimulatedParticipant]) -> Fitted:
        """Fit the smoother, with its shrinkage from held-out participants."""
        names = [name for name, _ in self.joint]
        whole = [self.past(p) for p in participants]
        traces = [
            dynamics.PersonTraces(x[round(dynamics.START / dynamics.STEP) :], p.felt)
            for x, p in zip(whole, participants, strict=True)
        ]
        ratings = [self.rated(p)[0] for p in participants]
        size = GaussianSmootherConfig(
            len(names), len(dynamics.gather(names)), dynamics.STEP
        )
        held_out_outputs: list[Array] = [np.empty(0)] * len(traces)
        odd: list[float] = []
        for k in range(self.folds):
            others = [p for i, p in enumerate(traces) if i % self.folds != k]
            model = GaussianSmoother(size, dynamics.know(others, names, size.moments))
            for i in range(k, len(traces), self.folds):
                held_out_outputs[i] = tracked(model, whole[i])[-len(ratings[i]) :]
                odd += [model.novelty(row, row) for row in whole[i][15::10]]
        knows = dynamics.know(traces, names, size.moments)
        share = error_model.slopes(ratings, held_out_outputs, knows.mean)
        outputs, rater = error_model.believed(held_out_outputs, share, knows, ratings)
        tracker = GaussianSmoother(size, replace(knows, share=share, rater=rater))
        limit = float(np.nanquantile(odd, 1 - _ALARM))
        return Fitted(tracker, outputs, limit, error_model.widths(ratings, outputs))

    def past(self, participant: SimulatedParticipant) -> Array:
        """Return the features of all experts at moments `bodies.STEP` apart."""
        at = [participant.names.index(name) for name, _ in self.joint]
        rows = participant.x[:: round(4 * dynamics.STEP), at]
        return transform(rows, [kinds for _, kinds in self.joint])

    def _card(self, columns: Columns, model: type) -> Any:
        use = f"{model.__module__}:{model.__name__}"
        card = minimal_card(use, columns, self.rest, Origin.SIMULATED, DIMENSIONS)
        return replace(
            card,
            data=f"{self.participants} simulated participants (seeds {self.first} to "
            f"{self.first + self.participants - 1}), {self.seconds:g} s each, effects "
            "as published. DEMONSTRATION ONLY.",
            citation="none: a simulation, physio-affect",
            licence="BSD-3-Clause",
            protocol=f"{self.folds} folds of participants: noise of the ratings, "
            "limit of novelty (exceeded by 1 % of moments of held-out participants), "
            "widths of the intervals, and covariance between participants. Figures: "
            f"{_RESULTS}." + (_PAST if model is GaussianSmoother else ""),
            figures={"300 held-out participants": _RESULTS},
            limits=_LIMITS,
            command="physio train experiments/weights/published.toml",
        )


def tracked(model: GaussianSmoother, rows: Array) -> Array:
    """Return the outputs after each moment of a participant, (n, 2, 3)."""
    outputs = (model.history(rows[i::-1]) for i in range(len(rows)))
    return np.array([[mean, sd] for mean, sd, _ in outputs])


def _fit(
    size: GaussianConfig, participants: Sequence[TrainingSamples], rest: BaselinePrior
) -> tuple[Array, Array]:
    z = np.concatenate([centred(p, rest)[0] for p in participants])
    ratings = np.concatenate([p.ratings for p in participants])
    units = np.repeat(np.arange(len(participants)), [len(p.x) for p in participants])
    return fit(size, z, ratings, units)
