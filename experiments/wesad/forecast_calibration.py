"""Calibration and evaluation of forecast bands and condition probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from experiments.wesad.eda_forecast import autoregression, iterated
from physio.core.block import Array
from physio.evaluation.statistics import summary
from physio.models.pinn import LAGS, Moments, Pinn, doubt

_TEMPERS: Final = np.geomspace(0.1, 2.0, 31)
_SHRINK: Final = 100.0
_ORDER: Final = 20  # of the autoregression's lags, the first of `LAGS`


class HeldOutErrors(NamedTuple):
    """Errors of a network in a held-out participant.

    ``off``: forecast errors (uS), (n, horizons), and the inputs of their predicted
    size, (n, 3); logits and class, (n, C) and (n,); for each unit the mean squared
    error of the ratings and the mean predicted variance, (units, d) each.
    """

    off: Array
    doubts: Array
    logits: Array
    label: npt.NDArray[np.int_]
    errors: Array
    variances: Array


@torch.no_grad()
def held_out_errors(
    model: Pinn, given: Moments, unit: npt.NDArray[np.int_]
) -> HeldOutErrors:
    """Return the errors of a network; NaN where there is no target or output."""
    logits, mean, log_sd = model(given.z)
    square = (mean - given.ratings).square().double().numpy()
    variance = (2 * log_sd).exp().double().numpy()
    units = [unit == k for k in np.unique(unit)]
    fair = logits - model.common.log()
    return HeldOutErrors(
        (given.ahead - model.predict_eda(given.z, given.trace)).double().numpy(),
        doubt(given.trace).double().numpy(),
        fair.double().numpy(),
        given.label.numpy(),
        np.array([square[u].mean(axis=0) for u in units]),
        np.array([variance[u].mean(axis=0) for u in units]),
    )


@torch.no_grad()
def calibrate_uncertainty(
    model: Pinn, off: Sequence[HeldOutErrors], band: tuple[float, float], blur: float
) -> None:
    """Calibrate the uncertainty of a network on held-out errors.

    Parameters
    ----------
    model
        Network to calibrate; changed in place.
    off
        Errors of networks in held-out participants, who are weighted equally.
    band
        Quantiles at the ends of a forecast interval.
    blur
        Constant added to each absolute error before its logarithm is taken (uS).
    """
    for k in range(len(model.config.horizons)):
        pairs = [(m.off[:, k], m.doubts) for m in off]
        masks = [np.isfinite(e) & np.isfinite(d).all(axis=1) for e, d in pairs]
        errors = [e[mask] for (e, _), mask in zip(pairs, masks, strict=True)]
        doubts = [d[mask] for (_, d), mask in zip(pairs, masks, strict=True)]
        share = np.concatenate([np.full(len(e), 1 / max(len(e), 1)) for e in errors])
        e, x = np.concatenate(errors), np.concatenate(doubts)
        root = np.sqrt(share)[:, None]
        by = np.linalg.lstsq(root * x, root[:, 0] * np.log(np.abs(e) + blur))[0]
        wide = e / np.exp(x @ by)
        ends = [_quantile(wide, share, q) for q in band]
        model.stretch[k] = torch.from_numpy(by)
        model.reach[k] = torch.tensor(ends)
    square = np.concatenate([m.errors for m in off])
    variances = np.concatenate([m.variances for m in off])
    more = np.maximum(square.mean(axis=0) - variances.mean(axis=0), 0)
    model.noise.copy_(torch.from_numpy(more))
    losses = [
        np.mean([_loss(t * m.logits, m.label) for m in off]) for t in _TEMPERS.tolist()
    ]
    model.temper.fill_(float(_TEMPERS[int(np.argmin(losses))]))


class Figures:
    """Scores of forecasts and class probabilities in held-out participants.

    Parameters
    ----------
    seed
        Seed of the bootstrap.
    horizons
        Forecast horizons (s).
    """

    def __init__(self, seed: int, horizons: tuple[float, ...]) -> None:
        self._seed, self._horizons = seed, horizons
        self._figures: dict[tuple[str, str], dict[str, float]] = {}

    @torch.no_grad()
    def add(
        self,
        name: str,
        code: str,
        model: Pinn,
        given: Moments,
        counts: npt.NDArray[np.bool_],
    ) -> None:
        """Add the results of a network for a participant at selected moments."""
        given = Moments(*(part[torch.from_numpy(counts)] for part in given))
        middle = model.predict_eda(given.z, given.trace)
        low, high = model.ends(middle, given.trace)
        self._errors(name, code, (given.ahead - middle).double().numpy())
        held = ((given.ahead >= low) & (given.ahead <= high)).double().numpy()
        known = np.isfinite((given.ahead - middle).numpy())
        for k, horizon in enumerate(self._horizons):
            share = float(held[known[:, k], k].mean())
            self._put(name, f"{horizon:g} s ahead: held by the 80 % band", code, share)
        odds, label = model.odds(given.z).double().numpy(), given.label.numpy()
        self._put(name, "condition: log loss", code, _loss(np.log(odds), label))
        right = odds.argmax(axis=1) == label
        recalls = [right[label == c].mean() for c in np.unique(label[label >= 0])]
        self._put(name, "condition: balanced accuracy", code, float(np.mean(recalls)))
        classes = model.config.classes
        first, other = (classes.index(c) for c in ("stress", "amusement"))
        two = np.isin(label, [first, other])
        if len(np.unique(label[two])) == 2:
            score = np.log(odds[two, first] / odds[two, other])
            area = float(roc_auc_score(label[two] == first, score))
            self._put(name, "stress v amusement: AUC", code, area)

    def add_plain(
        self,
        code: str,
        past: Array,
        ahead: Array,
        traces: Array,
        truth: Array,
        counts: npt.NDArray[np.bool_],
    ) -> None:
        """Add baseline forecasts, trained on traces of other participants."""
        train = np.isfinite(past).all(axis=1)
        past, ahead, traces, truth = (
            past[train],
            ahead[train],
            traces[counts],
            truth[counts],
        )
        now, steps = traces[:, -1], autoregression(past)
        lags = traces[:, [-1 - round(4 * lag) for lag in LAGS[:_ORDER]]] - now[:, None]
        forecasts: dict[str, list[Array]] = {"persistence": [], "ridge": []}
        forecasts["autoregression"] = []
        whole = np.isfinite(traces).all(axis=1)
        for k, horizon in enumerate(self._horizons):
            known = np.isfinite(ahead[:, k])
            x, y = past[known], ahead[known, k]
            ridge = Ridge(_SHRINK).fit(x[:, :-1] - x[:, -1:], y - x[:, -1])
            moved = np.full(len(traces), np.nan)
            moved[whole] = ridge.predict(traces[whole, :-1] - traces[whole, -1:])
            forecasts["persistence"].append(now)
            forecasts["ridge"].append(now + moved)
            forecasts["autoregression"].append(now + lags @ iterated(steps, horizon))
        for name, parts in forecasts.items():
            self._errors(name, code, truth - np.stack(parts, axis=1))

    def rows(self) -> list[dict[str, Any]]:
        """Return rows of results."""
        return [
            summary(model, metric, per_participant, self._seed)
            for (model, metric), per_participant in self._figures.items()
        ]

    def _errors(self, name: str, code: str, off: Array) -> None:
        for k, horizon in enumerate(self._horizons):
            known = off[np.isfinite(off[:, k]), k]
            rms = float(np.sqrt(np.mean(known**2)))
            self._put(name, f"{horizon:g} s ahead: RMSE (uS)", code, rms)

    def _put(self, model: str, metric: str, code: str, value: float) -> None:
        self._figures.setdefault((model, metric), {})[code] = value


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of results as lines to print."""
    return "\n".join(
        f"{r['model']:22}  {r['metric']:40}  {r['mean']:7.4f}  "
        f"({r['low']:.4f} to {r['high']:.4f})"
        for r in rows
    )


def _quantile(values: Array, share: Array, q: float) -> float:
    """Return the weighted quantile ``q`` of values."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(share[order]) / share.sum()
    return float(values[order][min(int(np.searchsorted(below, q)), len(values) - 1)])


def _loss(logits: Array, label: npt.NDArray[np.int_]) -> float:
    """Return the log loss (nats), averaged equally over the classes present."""
    logs = logits - logits.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    losses = [-logs[label == c, c].mean() for c in np.unique(label[label >= 0])]
    return float(np.mean(losses))
