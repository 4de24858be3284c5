"""Learner of the physics-informed network of a wristband."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from physio.core.block import Array
from physio.models.pinn import Moments, Pinn, PinnConfig, bridged, doubt
from physio.models.rbtransformer import single_thread
from physio.training.learner import (
    Progress,
    ProgressOf,
    Samples,
    error_of,
    trained_rows,
)

_BAND: Final = (0.1, 0.9)  # quantiles at the ends of the interval of a forecast
_BLUR: Final = 1e-3  # uS: resolution of a wristband


@dataclass(frozen=True)
class PinnLearner:
    """Learner of skin conductance ahead, with ratings or conditions, together.

    Its features come with skin conductance, ``trace = true`` in ``[features]``; see
    `physio.models.pinn.Pinn`. One group of participants does not train: its errors
    widen the intervals, and are the figure of the progress.

    Parameters
    ----------
    width
        Width of the hidden layers.
    epochs, batch, rate, decay
        Number of epochs, batch size, learning rate and weight decay of AdamW.
    physics
        Weight of the residuals of the equations; 0 omits them.
    alpha
        Decay rate of the level of skin conductance (1/min).
    """

    width: int = 24
    epochs: int = 20
    batch: int = 128
    rate: float = 3e-3
    decay: float = 1e-2
    physics: float = 0.02
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if min(self.width, self.epochs, self.batch) < 1:
            raise ValueError(
                "width, epochs and batch must be 1 at least, not "
                f"{self.width}, {self.epochs} and {self.batch}"
            )

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        usable, _ = _traces(samples)
        return (
            f"{trained_rows(usable, 'a minute of skin conductance')} One group of "
            "participants among these does not train: it measures the errors."
        )

    def fit(self, samples: Samples, progress: ProgressOf) -> Pinn:
        """Return the fitted network: see `physio.training.learner.Learner`.

        Raises
        ------
        ValueError
            If the samples have no skin conductance.
        """
        usable, traces = _traces(samples)
        samples = samples.take(np.flatnonzero(usable))
        config = PinnConfig(
            samples.x.shape[1],
            classes=samples.classes,
            dimensions=samples.targets,
            width=self.width,
            physics=self.physics,
        )
        moments = _moments(samples, traces[usable], config)
        folds = samples.held_out()
        every = np.arange(len(samples))
        train, test = folds[0] if folds else (every, every)
        with single_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(samples.seed)
            model = Pinn(config)
            model.alpha.fill_(self.alpha)
            scale = np.nanstd(samples.x[train], axis=0)
            scale = np.where(scale > 1e-9, scale, 1.0)
            model.scale.copy_(torch.from_numpy(scale))
            if samples.classes:
                count = np.bincount(samples.y[train], minlength=len(samples.classes))
                share = (count + 1) / (count + 1).sum()
                model.common.copy_(torch.from_numpy(share))
            self._train(model, moments, (train, test), samples, progress)
            _calibrate(model, _rows(moments, test))
        return model.eval()

    def _train(
        self,
        model: Pinn,
        moments: Moments,
        rows: tuple[Any, Any],
        samples: Samples,
        progress: ProgressOf,
    ) -> None:
        """Train all epochs."""
        train, test = (torch.as_tensor(part) for part in rows)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.rate, weight_decay=self.decay
        )
        for epoch in range(self.epochs):
            for part in torch.split(train[torch.randperm(len(train))], self.batch):
                optimizer.zero_grad()
                terms = model.loss(_rows(moments, part))
                torch.autograd.backward(torch.stack(list(terms.values())).sum())
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            output = np.full((len(samples), len(samples.targets or samples.classes)),
                             np.nan)  # fmt: skip
            with torch.no_grad():
                z = moments.z[test]
                out = model.odds(z) if samples.classes else model(z)[1]
            output[rows[1]] = out.double().numpy()
            error = error_of(samples, output, rows[1])
            progress(Progress(epoch + 1, self.epochs, error, "held-out error"))


def _traces(samples: Samples) -> tuple[Any, Array]:
    """Return which rows have a minute of skin conductance, and the traces bridged."""
    if samples.trace is None:
        raise ValueError(
            "the physics-informed network reads skin conductance: set trace = true in "
            "[features], with a chain 'trace' of skin conductance in its session file"
        )
    past, traces = PinnConfig().samples, samples.trace.copy()
    usable = np.zeros(len(traces), np.bool_)
    for k, trace in enumerate(traces):
        whole = bridged(trace[:past])
        if not isinstance(whole, float):
            traces[k, :past], usable[k] = whole, True
    if not usable.any():
        raise ValueError(
            "no moment has a minute of skin conductance before it in the chain 'trace'"
        )
    return usable, traces


def _moments(samples: Samples, traces: Array, config: PinnConfig) -> Moments:
    """Return inputs and targets of the network."""
    past = config.samples
    ahead = traces[:, [past - 1 + round(4 * h) for h in config.horizons]]
    n = len(samples)
    label, ratings = np.full(n, -1), np.full((n, max(len(samples.targets), 1)), np.nan)
    if samples.classes:
        label = np.asarray(samples.y)
    else:
        ratings = samples.y
    return Moments(
        torch.as_tensor(samples.x, dtype=torch.float32),
        torch.as_tensor(traces[:, :past], dtype=torch.float32),
        torch.as_tensor(ahead, dtype=torch.float32),
        torch.as_tensor(label, dtype=torch.int64),
        torch.as_tensor(ratings, dtype=torch.float32),
    )


def _rows(moments: Moments, rows: Any) -> Moments:
    """Return some of the moments."""
    at = torch.as_tensor(rows)
    return Moments(*(part[at] for part in moments))


@torch.no_grad()
def _calibrate(model: Pinn, given: Moments) -> None:
    """Set the sd of ratings and the interval of forecasts from held-out errors."""
    _, mean, log_sd = model(given.z)
    square = (mean - given.ratings).square()
    more = square.nanmean(dim=0) - (2 * log_sd).exp().mean(dim=0)
    model.noise.copy_(torch.nan_to_num(more).clamp(min=0))
    off = given.ahead - model.predict_eda(given.z, given.trace)
    x = doubt(given.trace)
    for k in range(off.shape[1]):
        known = off[:, k].isfinite()
        if known.sum() < len(_BAND) * x.shape[1]:
            continue  # too few: the interval has no width, as untrained
        error, by = off[known, k], x[known]
        size = (error.abs() + _BLUR).log()
        weights: Tensor = torch.linalg.lstsq(by, size[:, None]).solution[:, 0]
        wide = error / (by @ weights).exp()
        model.stretch[k] = weights
        model.reach[k] = torch.quantile(wide, torch.tensor(_BAND))
