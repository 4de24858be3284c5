"""Statistics over participants: means with intervals, differences between models."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

from physio.core.block import Array
from physio.evaluation.metrics import LESS_IS_BETTER

_DRAWS: Final = 4000
AREA: Final = ", mean over missing rates"
"""End of the name of an area: see `physio.evaluation.missing_features`."""

_EXACT: Final = 12  # largest number of participants with all signs: 4096


class ParticipantWeights(NamedTuple):
    """Numbers of participants of some rows, and means within participants.

    ``codes`` of the rows, shape (n,); ``names`` of the participants, in order.
    """

    codes: npt.NDArray[np.intp]
    names: tuple[str, ...]

    @classmethod
    def of(cls, participants: Any) -> "ParticipantWeights":
        """Return the numbers of participants given by name, shape (n,)."""
        names, codes = np.unique(np.asarray(participants, np.str_), return_inverse=True)
        return cls(codes, tuple(names.tolist()))

    @property
    def rows(self) -> Array:
        """Number of rows of each participant, shape (k,)."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.float64)

    def means(self, values: Array) -> Array:
        """Return the mean of values, shape (n,), within each participant, (k,)."""
        return np.bincount(self.codes, values, len(self.names)) / self.rows


def summary(
    model: str, metric: str, per_participant: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Return a row of results: mean over participants, 95 % bootstrap interval."""
    values = _known(list(per_participant.values()))
    low, high = bootstrap_ci(values, seed)
    return {
        "model": model,
        "metric": metric,
        "mean": _round(values.mean()) if len(values) else float("nan"),
        "low": low,
        "high": high,
        "per_participant": {k: _round(v) for k, v in per_participant.items()},
    }


def bootstrap_ci(values: Array, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean; NaN without values."""
    if not len(values):
        return float("nan"), float("nan")
    if len(values) == 1:  # nothing to resample
        return _round(values[0]), _round(values[0])
    interval = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=_DRAWS,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _round(interval.low), _round(interval.high)


def paired_differences(
    rows: Sequence[Mapping[str, Any]], reference: str, seed: int
) -> list[dict[str, Any]]:
    """Return paired differences between a reference model and each other model.

    Parameters
    ----------
    rows
        Rows of results, as `summary` returns them.
    reference
        Name of the reference model; differences are ``reference`` minus the other
        model.
    seed
        Seed of the bootstrap and, with more than 12 participants, of the sign flips.

    Returns
    -------
    list of dict
        For each metric and other model: ``metric``, ``model`` (the reference),
        ``than``, ``mean``, ``low``, ``high`` (95 % bootstrap over participants),
        ``better`` (number of participants with a better score of the reference),
        ``participants``, ``p`` (sign-flip permutation test) and ``holm`` (p after
        Holm's correction over the models of a metric).

    Raises
    ------
    ValueError
        If ``rows`` has no row of the reference.
    """
    names = list(dict.fromkeys(str(r["model"]) for r in rows))
    if reference not in names:
        raise ValueError(
            f"there is no model {reference!r} to compare with: {', '.join(names)}"
        )
    by = {(r["metric"], r["model"]): r["per_participant"] for r in rows}
    differences = []
    for metric in dict.fromkeys(str(r["metric"]) for r in rows):
        if (metric, reference) not in by:
            continue
        reference_values = by[metric, reference]
        of_metric: list[dict[str, Any]] = []
        for other in names:
            if other == reference or (metric, other) not in by:
                continue
            theirs = by[metric, other]
            off = _known(
                [
                    reference_values[p] - theirs[p]
                    for p in reference_values
                    if p in theirs
                ]
            )
            low, high = bootstrap_ci(off, seed)
            of_metric.append(
                {
                    "metric": metric,
                    "model": reference,
                    "than": other,
                    "mean": _round(off.mean()) if len(off) else float("nan"),
                    "low": low,
                    "high": high,
                    "better": int(
                        (
                            off < 0
                            if metric.removesuffix(AREA) in LESS_IS_BETTER
                            else off > 0
                        ).sum()
                    ),
                    "participants": len(off),
                    "p": sign_flip_test(off, seed),
                }
            )
        values = [float(m["p"]) for m in of_metric]
        for row, p in zip(of_metric, holm(values), strict=True):
            row["holm"] = p
        differences += of_metric
    return differences


def compared(
    rows: Sequence[Mapping[str, Any]],
    reference: str,
    pairs: Sequence[tuple[str, str]],
    seed: int,
) -> list[dict[str, Any]]:
    """Return differences of the reference model, if any, and of pairs of models.

    The difference of a pair is the first minus the second, without correction for other
    pairs: see `paired_differences`.
    """
    differences = paired_differences(rows, reference, seed) if reference else []
    for first, other in pairs:
        selected = [r for r in rows if r["model"] in (first, other)]
        differences += paired_differences(selected, first, seed)
    return differences


def sign_flip_test(differences: Array, seed: int) -> float:
    """Return the two-sided p value of a mean difference under random sign flips.

    The test is exact for up to 12 participants. For more, it uses 20,000 draws, which
    include the observed signs.
    """
    n = len(differences)
    if not n:
        return float("nan")
    if n <= _EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), size=(20_000, n))
        signs[0] = 1.0
    means = np.abs(signs @ differences)
    # Tolerance: sums of the same numbers in another order differ by rounding.
    return _round(np.mean(means >= means[0] * (1 - 1e-9)))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values after Holm's (1979) step-down; NaN values are not counted."""
    known = [i for i, value in enumerate(p) if np.isfinite(value)]
    adjusted, worst = [float("nan")] * len(p), 0.0
    for k, i in enumerate(sorted(known, key=lambda i: p[i])):
        worst = max(worst, min(1.0, (len(known) - k) * p[i]))
        adjusted[i] = _round(worst)
    return adjusted


def _known(values: Sequence[float]) -> Array:
    array = np.array(values, np.float64)
    return array[~np.isnan(array)]


def _round(value: float) -> float:
    return round(float(value), 4)
