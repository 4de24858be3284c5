"""Coverage, log score and prior-only models: see the README."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physio.core.affect import LEVELS
from physio.core.block import Array
from physio.training.intervals import (
    HeldOutRatings,
    check_outside,
    coverage_rows,
    cross_check,
    fit_error_bars,
    gain_rows,
)

TARGETS: Final = ("valence", "arousal")
SEED: Final = 23

MODELS: Final[Mapping[str, Callable[[], Any]]] = {
    "ridge": lambda: make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        RidgeCV(np.logspace(0, 5, 16)),
    ),
    "boosting": lambda: HistGradientBoostingRegressor(
        max_iter=40, learning_rate=0.08, max_leaf_nodes=8, random_state=SEED
    ),
}


@dataclass(frozen=True, eq=False)
class Laboratory:
    """Rated moments of a study.

    ``x``, features relative to the participant, shape (n, f); ``y``, ratings on [-1,
    1], shape (n, 2); ``participants`` and ``groups`` of the rows, shape (n,);
    ``step`` of the rating scale.
    """

    name: str
    x: Array
    y: Array
    participants: Any
    groups: Any
    step: float = 0.0

    def held_out(self, model: Callable[[], Any]) -> HeldOutRatings:
        """Return outputs for participants left out in turn."""
        mean = np.full(self.y.shape, np.nan)
        for participant in np.unique(self.participants):
            test = self.participants == participant
            mean[test] = _outputs(model, self.x[~test], self.y[~test], self.x[test])
        return HeldOutRatings(mean, self.y, self.participants, None, TARGETS, self.step)

    def elsewhere(
        self, model: Callable[[], Any], other: "Laboratory"
    ) -> HeldOutRatings:
        """Return outputs for another laboratory of a model that learned here."""
        mean = _outputs(model, self.x, self.y, other.x)
        return HeldOutRatings(
            mean, other.y, other.participants, None, TARGETS, other.step
        )


def _outputs(model: Callable[[], Any], x: Array, y: Array, new: Array) -> Array:
    """Return outputs of a model that was fitted to the rows with a rating."""
    out = np.empty((len(new), y.shape[1]))
    for d in range(y.shape[1]):
        known = np.isfinite(y[:, d])
        out[:, d] = model().fit(x[known], y[known, d]).predict(new)
    return out


def inside(laboratory: Laboratory, model: Callable[[], Any]) -> dict[str, Any]:
    """Return the error bars of a model within a study, and the check of them."""
    held_out = laboratory.held_out(model)
    fitted, checked = fit_error_bars(held_out), cross_check(held_out)
    _, sd = fitted.bars.apply(held_out.mean, None)
    return {
        "participants": len(np.unique(laboratory.participants)),
        "moments": len(laboratory.y),
        "forms": dict(zip(TARGETS, fitted.forms, strict=True)),
        "slope": dict(zip(TARGETS, fitted.bars.slope.round(3).tolist(), strict=True)),
        "sd to prior's": dict(
            zip(TARGETS, (sd[0] / fitted.prior[1]).round(3).tolist(), strict=True)
        ),
        "gain": gain_rows(checked, held_out),
        "coverage": coverage_rows(checked, held_out),
        "by group": coverage_rows(checked, held_out, laboratory.groups),
        "sentences": fitted.sentences(),
    }


def outside(
    laboratory: Laboratory, other: Laboratory, model: Callable[[], Any]
) -> dict[str, Any]:
    """Return the coverage in another laboratory, where nothing is guaranteed."""
    fitted = fit_error_bars(laboratory.held_out(model))
    held_out = laboratory.elsewhere(model, other)
    checked = check_outside(fitted, held_out)
    return {
        "trained on": laboratory.name,
        "tested on": other.name,
        "guaranteed": False,
        "gain": gain_rows(checked, held_out),
        "coverage": coverage_rows(checked, held_out),
    }


def simulated(people: int = 300, seed: int = SEED) -> dict[str, Any]:
    """Return the coverage in simulated participants with levels of their own.

    They have 4 to 79 rated moments, skewed ratings, noise of their own; the model has a
    sd that is half of what it should be.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(people):
        n = int(rng.integers(4, 80))
        x, narrow = rng.normal(0, 0.5, (n, 2)), rng.choice([0.15, 0.45], (n, 2))
        noise = narrow * rng.gamma(4, 0.25) * (rng.gamma(2, 1, (n, 2)) - 2) / 1.414
        y = 0.3 + rng.normal(0, 0.25, 2) + 0.7 * x + noise
        parts.append((x, y, narrow / 2, np.full(n, f"P{k}")))
    mean, y, sd, names = (np.concatenate(p) for p in zip(*parts, strict=True))
    held_out = HeldOutRatings(mean, y, names, sd, TARGETS)
    checked = cross_check(held_out)
    rows = coverage_rows(checked, held_out)
    return {
        "participants": people,
        "coverage": rows,
        "gain": gain_rows(checked, held_out),
        "furthest": max(abs(r["coverage"] - r["level"]) for r in rows),
    }


def relative(x: Array, participants: Any) -> Array:
    """Return features less the median of each participant."""
    out = np.asarray(x, np.float64).copy()
    for participant in np.unique(participants):
        rows = participants == participant
        level = pd.DataFrame(out[rows]).median().to_numpy()
        out[rows] -= np.where(np.isnan(level), 0.0, level)
    return out


def as_text(results: Mapping[str, Any]) -> str:
    """Return the coverage and the gain as a table of Markdown."""
    head = [f"{v:.0%}" for v in LEVELS]
    lines = [
        f"| data | model | target | form | {' | '.join(head)} | log score gained |",
        "|---|---|---|---|" + "---|" * (len(head) + 1),
    ]
    for data, by_model in results.items():
        for model, result in by_model.items():
            for gain in result["gain"]:
                target = gain["target"]
                cells = [
                    next(
                        (
                            f"{r['coverage']:.2f} [{r['low']:.2f}, {r['high']:.2f}]"
                            for r in result["coverage"]
                            if (r["target"], r["level"]) == (target, level)
                        ),
                        "refused",
                    )
                    for level in LEVELS
                ]
                form = result.get("forms", {}).get(target, "-")
                gained = f"{gain['gain']:+.3f} [{gain['low']:.3f}, {gain['high']:.3f}]"
                row = [data, model, target, form, *cells, gained]
                lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)
