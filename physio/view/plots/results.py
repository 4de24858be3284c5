"""Figures of training runs and of evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from physio.core.block import Array
from physio.evaluation.class_calibration import expected_error, reliability_table
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import INK, PALE

MIN_MAP_ELECTRODES: Final = 16
"""Minimum number of electrodes for the interpolation of a topographic map."""

NOT_CONNECTIVITY: Final = (
    "Attention weights between the electrodes' tokens. This is not connectivity: "
    "it does not show how brain areas are connected."
)

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_CHANCE: Final = {"AUC": 0.5, "accuracy": None, "balanced accuracy": None}


def curves_figure(curves: Mapping[str, Sequence[float]], floor: float = 0.0) -> Figure:
    """Draw the training loss of each network by epoch, and their median.

    Parameters
    ----------
    curves
        Mean loss of each epoch, by fold.
    floor
        Minimum of the loss under label smoothing (nats), if known.
    """
    figure = PlainTextFigure((7, 4), layout="constrained")
    ax = figure.subplots()
    for losses in curves.values():
        ax.plot(range(1, len(losses) + 1), losses, color=PALE, linewidth=1)
    shortest = min(len(v) for v in curves.values())
    middle = np.median([v[:shortest] for v in curves.values()], axis=0)
    ax.plot(range(1, shortest + 1), middle, color=_COLOURS[0], linewidth=2)
    ax.annotate(
        f"median of {len(curves)} folds", (shortest, middle[-1]), (0, 8),
        textcoords="offset points", ha="right", color=_COLOURS[0],
    )  # fmt: skip
    if floor:
        ax.axhline(floor, color=INK, linestyle=":", linewidth=1)
        ax.annotate(
            "minimum with smoothed labels", (1, floor), (0, 4),
            textcoords="offset points", color=INK, fontsize="small",
        )  # fmt: skip
    ax.set_xlabel("epoch")
    ax.set_ylabel("training loss (nats)")
    ax.set_title("Training loss (says nothing about held-out participants)")
    _remove_spines(ax)
    return figure


def participants_figure(
    rows: Sequence[Mapping[str, Any]], metric: str, models: Sequence[str] = ()
) -> Figure:
    """Draw a metric of each model for each participant, sorted, with the chance level.

    Parameters
    ----------
    rows
        Rows of an evaluation's JSON.
    metric
        Name of the metric.
    models
        Models in order of display; by default all with this metric (at most six).
    """
    by_model = {str(r["model"]): r for r in rows if r["metric"] == metric}
    names = [m for m in (models or by_model) if m in by_model][: len(_COLOURS)]
    if not names:
        raise ValueError(f"no model has the metric {metric!r}")
    first = by_model[names[0]]["per_participant"]
    participants = sorted(
        first, key=lambda p: -np.inf if first[p] is None else first[p]
    )
    figure = PlainTextFigure(
        (max(7.0, 0.33 * len(participants) + 3), 4.4), layout="constrained"
    )
    ax = figure.subplots()
    width = 0.8 / len(names)
    chance = _chance_level(by_model, metric)
    for k, name in enumerate(names):
        row = by_model[name]
        values = [number(row["per_participant"].get(p)) for p in participants]
        at = np.arange(len(participants)) + (k - (len(names) - 1) / 2) * width
        base = 0.0 if chance is None else chance
        label = f"{name}: {row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        ax.bar(
            at, np.array(values) - base, width * 0.92, bottom=base,
            color=_COLOURS[k], label=label,
        )  # fmt: skip
    if chance is not None:
        ax.axhline(chance, color=INK, linewidth=1)
        ax.annotate("chance", (len(participants) - 0.4, chance), color=INK, va="bottom")
    ax.set_xticks(
        range(len(participants)),
        participants,
        rotation=60,
        ha="right",
        fontsize="small",
    )
    ax.set_xlim(-0.6, len(participants) + 0.6)
    ax.set_ylabel(metric)
    ax.set_title(
        f"{metric} by participant (legend: mean over participants, 95 % interval)"
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    _remove_spines(ax)
    return figure


def calibration_figure(
    outputs: pd.DataFrame, models: Sequence[str], classes: Sequence[str]
) -> Figure:
    """Draw the reliability diagram of predicted probabilities in ten bins.

    Parameters
    ----------
    outputs
        Outputs of an evaluation: ``y``, and ``<model>.<class>`` for each model; each
        participant (``dataset`` and ``subject``, if present) has the weight 1.
    models, classes
        Their names.
    """
    figure = PlainTextFigure((5.6, 5.6), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    ax.annotate(
        "perfect calibration", (0.3, 0.31), ha="center", va="bottom", rotation=45,
        rotation_mode="anchor", color=INK, fontsize="small", zorder=0,
    )  # fmt: skip
    y = outputs["y"].to_numpy().astype(int)
    people = _participants(outputs)
    for k, model in enumerate(models[: len(_COLOURS)]):
        probabilities = outputs[[f"{model}.{c}" for c in classes]].to_numpy(np.float64)
        known = np.isfinite(probabilities).all(axis=1)
        bins = reliability_table(probabilities[known], y[known], people[known])
        predicted, observed, share, low, high = (
            np.array([b[key] for b in bins])
            for key in ("predicted", "observed", "share", "low", "high")
        )
        ax.plot(
            predicted,
            observed,
            color=_COLOURS[k],
            marker="o",
            label=f"{model}: {expected_error(bins):.3f}",
        )
        ax.vlines(predicted, low, high, color=_COLOURS[k], linewidth=1)
        ax.scatter(predicted, observed, 6 + 200 * share, color=_COLOURS[k])
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    event = f"of {classes[1]!r}" if len(classes) == 2 else "of a class"
    ax.set_xlabel(f"predicted probability {event}")
    ax.set_ylabel("observed frequency")
    ax.set_title("Calibration (legend: expected calibration error; 95 % intervals)")
    figure.legend(loc="outside lower center", frameon=False)
    _remove_spines(ax)
    return figure


def confusion_figure(
    outputs: pd.DataFrame, model: str, classes: Sequence[str]
) -> Figure:
    """Draw the confusion matrix: proportions of each class's windows, and counts."""
    probabilities = outputs[[f"{model}.{c}" for c in classes]].to_numpy(np.float64)
    known = np.isfinite(probabilities).all(axis=1)
    y = outputs["y"].to_numpy().astype(int)[known]
    n = len(classes)
    counts = np.zeros((n, n))
    np.add.at(counts, (y, probabilities[known].argmax(axis=1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = PlainTextFigure((2.6 + 0.9 * n, 2.2 + 0.8 * n), layout="constrained")
    ax = figure.subplots()
    ax.imshow(shares, vmin=0, vmax=1, cmap="cividis")
    for i in range(n):
        for j in range(n):
            ink = "black" if shares[i, j] > 0.5 else "white"
            text = f"{shares[i, j]:.0%}\n{int(counts[i, j])}"
            ax.text(j, i, text, ha="center", va="center", color=ink)
    ax.set_xticks(range(n), classes)
    ax.set_yticks(range(n), classes)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.set_title(model)
    return figure


def importance_figure(
    importance: Array, electrodes: Sequence[str], bands: Sequence[str]
) -> Figure:
    """Draw the permutation importance of each band and electrode.

    As topographic maps with at least 16 electrodes of known position, else as bars.

    Parameters
    ----------
    importance
        Shape (electrodes, bands): see `physio.training.attribution`.
    electrodes, bands
        Their names.
    """
    values = np.asarray(importance, np.float64)
    info = _mne_info(electrodes) if len(electrodes) >= MIN_MAP_ELECTRODES else None
    if info is None:
        return _importance_bars(values, electrodes, bands)
    import mne

    figure = PlainTextFigure((2.6 * len(bands) + 0.8, 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(bands)))
    top = float(values.max())
    for ax, name, column in zip(axes, bands, values.T, strict=True):
        image, _ = mne.viz.plot_topomap(
            column, info, axes=ax, show=False, cmap="cividis", vlim=(0.0, top),
            contours=0, sensors=True,
        )  # fmt: skip
        ax.set_title(name)
    bar = figure.colorbar(image, ax=list(axes), shrink=0.7)
    bar.set_label("change of the probability")
    electrode, band = divmod(int(values.argmax()), len(bands))
    figure.suptitle(
        "Mean change of the predicted probability when this band of this electrode is "
        f"permuted between windows\nmaximum: {bands[band]} at "
        f"{electrodes[electrode]}, {100 * top:.2g} percentage points; smaller the more "
        "the electrodes are correlated",
        fontsize="medium",
    )
    return figure


def attention_figure(attention: Array, electrodes: Sequence[str]) -> Figure:
    """Draw the mean attention matrix, with a note that it is not connectivity.

    Parameters
    ----------
    attention
        Shape (E, E); each row sums to 1.
    electrodes
        Their names.
    """
    values = np.asarray(attention, np.float64)
    n = len(electrodes)
    figure = PlainTextFigure((2.5 + 0.24 * n, 2.6 + 0.24 * n), layout="constrained")
    ax = figure.subplots()
    least, most = float(values.min()) * n, float(values.max()) * n
    # Values within a fifth of uniform attention are pale: they are negligible.
    about = TwoSlopeNorm(1.0, min(least, 0.8), max(most, 1.25))
    image = ax.imshow(values * n, cmap="PuOr_r", norm=about)
    ax.set_xticks(range(n), electrodes, rotation=90, fontsize="small")
    ax.set_yticks(range(n), electrodes, fontsize="small")
    ax.tick_params(length=0)
    ax.set_xlabel("attended electrode (key)")
    ax.set_ylabel("electrode (query)")
    bar = figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label("relative to uniform attention")
    ax.set_title(
        "Attention, mean over windows, blocks and heads:\n"
        f"{least:.2f} to {most:.2f} times uniform attention",
        fontsize="medium",
    )
    figure.supxlabel(_wrapped(NOT_CONNECTIVITY, 12 + 4 * n), fontsize="small")
    return figure


def _importance_bars(
    values: Array, electrodes: Sequence[str], bands: Sequence[str]
) -> Figure:
    figure = PlainTextFigure(
        (max(5.0, 1.1 * len(electrodes) + 2), 3.8), layout="constrained"
    )
    ax = figure.subplots()
    width = 0.8 / len(bands)
    for k, name in enumerate(bands):
        at = np.arange(len(electrodes)) + (k - (len(bands) - 1) / 2) * width
        ax.bar(at, values[:, k], 0.92 * width, color=_COLOURS[k], label=name)
    ax.set_xticks(range(len(electrodes)), electrodes)
    ax.set_ylabel("mean change of the probability")
    ax.set_title("Change of the probability when a feature is permuted between windows")
    figure.legend(loc="outside lower center", ncols=len(bands), frameon=False)
    _remove_spines(ax)
    return figure


def _mne_info(electrodes: Sequence[str]) -> Any:
    """Return MNE's info with electrode positions; None if a position is unknown."""
    import mne

    montage = mne.channels.make_standard_montage("colin27_1005")
    known = {name.lower() for name in montage.ch_names}
    if any(e.lower() not in known for e in electrodes):
        return None
    info = mne.create_info(list(electrodes), 1.0, "eeg", verbose="error")
    info.set_montage(montage, match_case=False, verbose="error")
    return info


def _participants(outputs: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return the participant of each row of an evaluation's outputs."""
    names = [c for c in ("dataset", "subject") if c in outputs.columns]
    if not names:
        return np.full(len(outputs), "", np.str_)
    return outputs[names].astype(str).agg(" ".join, axis=1).to_numpy(np.str_)


def _chance_level(
    by_model: Mapping[str, Mapping[str, Any]], metric: str
) -> float | None:
    """Return the chance level of a metric; None if it is unknown."""
    if _CHANCE.get(metric) is not None:
        return _CHANCE[metric]
    row = by_model.get("majority class")
    return None if row is None else float(row["mean"])


def number(value: float | None) -> float:
    """Return a JSON value as a number: NaN for null."""
    return float("nan") if value is None else float(value)


def _wrapped(text: str, width: int) -> str:
    from textwrap import fill

    return fill(text, max(width, 40))


def _remove_spines(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
