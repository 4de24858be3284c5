"""Robustness to missing features, blocks of a sensor, and whole devices."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from experiments.simulated.cohort import SimulatedCohort, SimulatedParticipant
from experiments.simulated.device_subsets import DEVICES
from experiments.weights import error_model
from experiments.weights.published import TrainPublishedExperts
from experiments.weights.rating_error import squared_errors
from physio import config
from physio.core.block import Array
from physio.evaluation.statistics import summary
from physio.models.baseline import BaselinePrior
from physio.models.fusion import fuse, nearest
from physio.models.model_card import load
from physio.training.gaussian import centred

RATES: Final = tuple(np.round(np.arange(0, 1.01, 0.1), 1).tolist())
MODES: Final = ("features", "blocks", "devices")

_EPOCHS: Final = 6
_BATCH: Final = 256
_WIDTH: Final = 64
Says = Callable[[Array], Array]


@dataclass(frozen=True)
class MissingSensors:
    """Evaluation of missing sensors on held-out simulated participants.

    Each mode hides a proportion of the input: single features at single moments, a
    stretch of the session of each sensor, or whole devices. The joint Gaussian and the
    fused experts, which marginalise over missing input, are compared with three small
    networks. These are trained on complete rows; on rows with random masks; and on
    masked rows with the output on the complete row as the teacher (after CIDer,
    arXiv 2506.10452, 3.2: self-distillation of the output, the loss of both views in
    one step).

    Parameters
    ----------
    affect
        The training run of the experts, whose weights are in the package.
    participants
        Number of training participants of the networks, and of test participants.
    seed
        Seed of masks, networks and the bootstrap.
    """

    affect: TrainPublishedExperts
    participants: tuple[int, int] = (300, 60)
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = SimulatedCohort(a.devices, a.chains, a.seconds, 0.0, root)
        starts = zip((a.first, a.first_tested), self.participants, strict=True)
        taught, tested = (
            [self.view(crowd.participant(first + i)) for i in range(n)]
            for first, n in starts
        )
        ways = {**self.gaussians(), **self._networks(taught)}
        rows = []
        curves: dict[str, dict[str, list[float]]] = {}
        for mode in MODES:
            for name, way in ways.items():
                curve, areas = self._curve(tested, way, mode)
                curves.setdefault(mode, {})[name] = curve
                rows.append(
                    summary(name, f"area under arousal skill, {mode}", areas, self.seed)
                )
        return {
            "dataset": "simulated participants, effects as published",
            "protocol": f"{self.participants[1]} held-out participants; missing rate "
            "0 to 1",
            "rates": RATES,
            "curves": curves,
            "rows": [
                {k: v for k, v in r.items() if k != "per_participant"} for r in rows
            ],
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "torch")},
            "seconds": round(time.monotonic() - began, 1),
            "table": "\n".join(
                f"{r['model']:32}  {r['metric']:36}  {r['mean']:.3f} "
                f"({r['low']:.3f} to {r['high']:.3f})"
                for r in rows
            ),
        }

    def view(
        self, participant: SimulatedParticipant
    ) -> tuple[int, Array, Array, Array]:
        """Return seed, centred features, ratings and true affect at each moment."""
        samples = self.affect.moments(participant, self.affect.joint)
        rest = BaselinePrior.restore(load("published-all").part("rest"))
        ratings, felt = self.affect.rated(participant)
        return participant.seed, centred(samples, rest)[0], ratings, felt

    def gaussians(self) -> dict[str, Says]:
        """Return the joint Gaussian and the fused experts, as stored, by name."""
        joint = load("published-all").model()
        none = np.zeros(len(self.affect.joint))
        experts, at, start = [], [], 0
        for name, columns in self.affect.experts.items():
            experts.append(load(name))
            at.append(slice(start, start + len(columns)))
            start += len(columns)
        names = [e.name for e in experts]
        prior = [
            np.stack([e.arrays[f"prior.{k}"] for e in experts]) for k in ("mean", "sd")
        ]
        errors = np.stack([nearest(e) for e in error_model.known(names)])
        models = [e.model() for e in experts]

        def together(z: Array) -> Array:
            predicted = np.array(
                [
                    np.stack(m.predict(z[s], none[s]))
                    for m, s in zip(models, at, strict=True)
                ]
            )
            return fuse(
                predicted[:, 0], predicted[:, 1], prior[0], prior[1], errors
            ).mean

        return {
            "joint Gaussian": lambda z: np.asarray(joint.predict(z, none)[0]),
            "fused experts": together,
        }

    def _networks(
        self, taught: Sequence[tuple[int, Array, Array, Array]]
    ) -> dict[str, Says]:
        z = np.concatenate([t[1] for t in taught])
        y = torch.tensor(np.concatenate([t[2] for t in taught]), dtype=torch.float32)
        mean, sd = np.nanmean(z, axis=0), np.nanstd(z, axis=0)
        by_name: dict[str, Says] = {}
        for name, masks, teaches in (
            ("network", False, False),
            ("network, masked", True, False),
            ("network, masked and taught", True, True),
        ):
            net = self._taught((z - mean) / sd, y, masks=masks, teaches=teaches)
            by_name[name] = _says(net, mean, sd)
        return by_name

    def _taught(self, z: Array, y: Tensor, *, masks: bool, teaches: bool) -> nn.Module:
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        net = nn.Sequential(
            nn.Linear(2 * z.shape[1], _WIDTH),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(_WIDTH, 3),
        )
        descent = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
        for _ in range(_EPOCHS):
            order = rng.permutation(len(z))
            for k in range(0, len(z) - _BATCH + 1, _BATCH):
                at = order[k : k + _BATCH]
                whole = net(_input(z[at]))
                loss = ((whole - y[at]) ** 2).mean()
                if masks:
                    part = net(_input(self.hide(z[at], rng)))
                    loss = loss + ((part - y[at]) ** 2).mean()
                    if teaches:
                        loss = loss + ((part - whole.detach()) ** 2).mean()
                descent.zero_grad()
                loss.backward()
                descent.step()
        return net.eval()

    def hide(self, z: Array, rng: np.random.Generator) -> Array:
        """Return rows with features, sensors or devices hidden, each at its rate."""
        rate = rng.random((len(z), 1))
        lost = rng.random(z.shape) < rate
        groups = self.groups("devices") if rng.random() < 0.5 else self.groups("blocks")
        for group in groups:
            lost[:, group] |= rng.random((len(z), 1)) < rate / 2
        return np.where(lost, np.nan, z)

    def groups(self, mode: str) -> list[list[int]]:
        """Return groups of features that are missing together."""
        chains = [name.partition(".")[0] for name, _ in self.affect.joint]
        sets = (
            DEVICES.values()
            if mode == "devices"
            else [(c,) for c in dict.fromkeys(chains)]
        )
        return [[i for i, c in enumerate(chains) if c in some] for some in sets]

    def _curve(
        self, tested: Sequence[tuple[int, Array, Array, Array]], way: Says, mode: str
    ) -> tuple[list[float], dict[str, float]]:
        """Return the skill of arousal at each rate, and the area per participant."""
        prior = load("published-all").arrays["prior.mean"]
        curve = []
        per_participant: dict[str, list[float]] = {str(t[0]): [] for t in tested}
        for rate in RATES:
            total = np.zeros(2)
            for seed, z, _, felt in tested:
                rng = np.random.default_rng((self.seed, seed, int(10 * rate)))
                rows = self.cut(z, rate, mode, rng)[::2]
                predicted = np.array([_safe(way, r) for r in rows])
                errors = np.array(squared_errors(predicted, felt[::2], prior))[:, 1]
                total += errors
                per_participant[str(seed)].append(float(1 - errors[0] / errors[1]))
            curve.append(round(float(1 - total[0] / total[1]), 4))
        areas = {k: float(np.trapezoid(v, RATES)) for k, v in per_participant.items()}
        return curve, areas

    def cut(self, z: Array, rate: float, mode: str, rng: np.random.Generator) -> Array:
        """Return a participant's rows with a proportion missing, as a mode says."""
        lost = np.zeros(z.shape, np.bool_)
        if mode == "features":
            lost = rng.random(z.shape) < rate
        for group in [] if mode == "features" else self.groups(mode):
            if mode == "devices":
                lost[:, group] = rng.random() < rate
                continue
            long = round(rate * len(z))
            start = int(rng.integers(0, len(z) - long + 1))
            lost[start : start + long, group] = True
        return np.where(lost, np.nan, z)


def _says(net: nn.Module, mean: Array, sd: Array) -> Says:
    def way(z: Array) -> Array:
        with torch.no_grad():
            return np.asarray(net(_input(((z - mean) / sd)[None]))[0].double().numpy())

    return way


def _input(z: Array) -> Tensor:
    present = np.isfinite(z)
    both = np.concatenate([np.where(present, z, 0.0), present], axis=1)
    return torch.tensor(both, dtype=torch.float32)


def _safe(way: Says, z: Array) -> Array:
    """Return the estimate of a row; NaN where all features are missing."""
    return np.full(3, np.nan) if np.isnan(z).all() else way(z)
