"""Stored example of a model: inputs, and the outputs that it must repeat."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from physio.core.block import Array
from physio.models.base import Arrays, Model

FILE: Final = "golden.safetensors"
"""File of the example, beside the weights."""

TOLERANCE: Final = 1e-4
"""Largest difference of a repeated output, on scales of ratings and probabilities."""

_ROWS: Final = 8
_WINDOWS: Final = 2  # of a signal, or of the last minutes, which are larger


def example(model: Model, rest: Mapping[str, Array]) -> dict[str, Any]:
    """Return inputs of a model, and its outputs for them.

    Parameters
    ----------
    model
        The model.
    rest
        Arrays of its `physio.models.baseline.BaselinePrior`, which give the inputs
        their usual size.
    """
    inputs = _inputs(model, rest)
    return {**inputs, **outputs(model, inputs), "tolerance": np.array([TOLERANCE])}


def outputs(model: Model, inputs: Arrays) -> dict[str, Array]:
    """Return mean, sd and odds of a model for inputs, and its forecast, if it has one.

    Means and deviations are NaN in dimensions that were not trained.
    """
    z, spread = inputs["z"], np.zeros(inputs["z"].shape[1])
    if model.lookback is not None:
        ratings = [model.history(past)[:2] for past in z]
    else:
        ratings = [model.predict(row, spread) for row in z]
    mean, sd = (np.array([r[i] for r in ratings]) for i in range(2))
    out = {"mean": mean, "sd": sd}
    if model.conditions:
        out["odds"] = np.array([model.condition_odds(row, spread) for row in z])
    if "trace" in inputs:
        forecasts = [model.forecast(row, inputs["trace"]) for row in z]
        out["ahead"] = np.array([f.middle for f in forecasts])
    return {k: np.ascontiguousarray(v, np.float64) for k, v in out.items()}


def largest_difference(model: Model, stored: Arrays) -> float:
    """Return the largest difference of an output from the stored example.

    It is infinite where one of them is missing, or has another shape.
    """
    largest = 0.0
    for name, value in outputs(model, stored).items():
        expected = stored.get(name)
        if expected is None or expected.shape != value.shape:
            return float("inf")
        if (np.isnan(expected) != np.isnan(value)).any():
            return float("inf")
        largest = max(largest, float(np.nanmax(np.abs(value - expected), initial=0)))
    return largest


def _inputs(model: Model, rest: Mapping[str, Array]) -> dict[str, Array]:
    """Return example inputs, the same in every call."""
    rng = np.random.default_rng(20)
    if (spec := model.window) is not None:
        shape = _WINDOWS, len(spec.channels), spec.samples
        return {"z": 20 * rng.normal(size=shape)}  # uV, as of EEG
    size = np.sqrt(rest["between"] + rest["within"])
    inputs: dict[str, Array] = {}
    if (lookback := model.lookback) is not None:
        shape = _WINDOWS, lookback.moments, len(size)
        inputs["z"] = rest["mean"] + size * rng.normal(size=shape)
    else:
        inputs["z"] = size * rng.normal(size=(_ROWS, len(size)))
        for row in inputs["z"][-2:] if len(size) > 1 else ():
            row[rng.permutation(len(size))[: len(size) // 2]] = np.nan
    if (forecast := model.forecasts) is not None:
        inputs["trace"] = 2 + 0.1 * rng.normal(size=forecast.samples).cumsum() ** 2
    return inputs
