"""Output of evaluations as a Markdown page and as files."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.counted_nouns import counted
from physio.evaluation import populations
from physio.evaluation.evaluate import Evaluation
from physio.evaluation.figures import Figures
from physio.evaluation.missing_features import CURVES

RESULT: Final = "evaluation.json"
PAGE: Final = "evaluation.md"
OUTPUTS: Final = "outputs.parquet"
FOLDS: Final = "folds.json"
RELIABILITY: Final = "reliability.png"
_DIFFERENCES: Final = "## Differences, participant by participant"


def save(evaluation: Evaluation | Figures, out: Path) -> None:
    """Write results into a folder: JSON and Markdown; folds and outputs of models.

    ``outputs.parquet`` contains the tested rows, ``y``, and a column
    ``<model>.<class>`` (or ``<model>.mean`` and ``<model>.sd``) for each output.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULT).write_text(dumped(evaluation.to_dict()), "utf-8")
    (out / PAGE).write_text(to_markdown(evaluation), "utf-8")
    if isinstance(evaluation, Figures):
        return
    evaluation.folds.write(out / FOLDS)
    table = evaluation.tested
    names = evaluation.classes or ("mean", "sd")
    columns = {
        f"{model}.{name}": output[:, k]
        for model, output in evaluation.outputs.items()
        for k, name in enumerate(names)
        if k < output.shape[1] and not np.isnan(output[:, k]).all()
    }
    table.assign(**columns).to_parquet(out / OUTPUTS, index=False)


def dumped(value: Any) -> str:
    """Return results as JSON; missing values become null."""
    return json.dumps(_known(value), indent=1, allow_nan=False) + "\n"


def to_markdown(evaluation: Evaluation | Figures) -> str:
    """Return results as a page of Markdown."""
    title = f"# {evaluation.dataset or 'Evaluation'}: {evaluation.protocol}"
    if isinstance(evaluation, Figures):
        parts = [title, *evaluation.notes, summary(evaluation)]
        if evaluation.paired:
            parts += [_DIFFERENCES, _paired(evaluation)]
        return "\n\n".join(parts) + "\n"
    parts = [title]
    if evaluation.leaks:
        parts.append(
            "**This split leaks: the figures say too much. It is for the reproduction "
            "of a paper alone; see the audit below.**"
        )
    parts += [f"{n} " for n in evaluation.notes]
    parts += [
        _overview(evaluation),
        summary(evaluation),
        "## Participant by participant",
        _participants(evaluation),
    ]
    if evaluation.paired:
        parts += [_DIFFERENCES, _paired(evaluation)]
    if populations.KEY in evaluation.details:
        parts += ["## By population", _populations(evaluation)]
    if CURVES in evaluation.details:
        parts += ["## Features missing at random", _missing(evaluation)]
    if evaluation.reliability:
        parts += ["## Reliability of probabilities", *_reliability(evaluation)]
    parts += ["## Audit", _audit(evaluation)]
    return "\n\n".join(parts) + "\n"


def summary(evaluation: Evaluation | Figures) -> str:
    """Return the table of models and metrics: mean and 95 % interval."""
    models = list(dict.fromkeys(r["model"] for r in evaluation.rows))
    metrics = list(dict.fromkeys(r["metric"] for r in evaluation.rows))
    cells = {(r["model"], r["metric"]): _cell(r) for r in evaluation.rows}
    lines = [["model", *metrics]]
    lines += [[m, *(cells.get((m, k), "") for k in metrics)] for m in models]
    return _table(lines)


def _overview(evaluation: Evaluation) -> str:
    n = len(evaluation.tested)
    classes = ", ".join(f"{c} {k}" for c, k in evaluation.balance.items())
    return (
        f"{counted(len(evaluation.participants), 'participant')}, "
        f"{counted(n, 'row')} tested{f' ({classes})' if classes else ''}, "
        f"{counted(len(evaluation.folds.folds), 'fold')}. "
        "Mean over participants [95 % interval, participants drawn anew]."
    )


def _participants(evaluation: Evaluation) -> str:
    metric = evaluation.rows[0]["metric"]
    rows = [r for r in evaluation.rows if r["metric"] == metric]
    lines = [[metric, *(r["model"] for r in rows)]]
    lines += [
        [p, *(_number(r["per_participant"].get(p)) for r in rows)]
        for p in evaluation.participants
    ]
    return _table(lines)


def _paired(evaluation: Evaluation | Figures) -> str:
    lines = [["measure", "model", "less", "difference", "better in", "p", "p (Holm)"]]
    lines += [
        [
            r["metric"],
            r["model"],
            r["than"],
            _cell(r),
            f"{r['better']} of {r['participants']}",
            _number(r["p"], 4),
            _number(r["holm"], 4),
        ]
        for r in evaluation.paired
    ]
    return _table(lines)


def _reliability(evaluation: Evaluation) -> list[str]:
    """Return an explanation, calibration slopes, and the bins of each model."""
    event = "the true class"
    if len(evaluation.classes) == 2:
        event = repr(evaluation.classes[1])
    slopes = [["model", "calibration slope", "expected calibration error"]]
    bins = [["model", "probability", "predicted", "observed", "share", "participants"]]
    for row in evaluation.reliability:
        slopes.append([row["model"], _interval(row, "slope"), _number(row["error"])])
        bins += [
            [
                row["model"],
                b["bin"],
                _number(b["predicted"]),
                _interval(b, "observed"),
                _number(b["share"]),
                str(b["participants"]),
            ]
            for b in row["bins"]
        ]
    text = (
        f"Predicted probability of {event} and its observed frequency, each "
        "participant of weight 1 [95 % interval, participants drawn anew]. A slope of "
        "1: as sure as right; below 1: too sure."
    )
    return [text, _table(slopes), _table(bins)]


def _populations(evaluation: Evaluation) -> str:
    """Return the table of each model within each population."""
    given = evaluation.details[populations.KEY]
    columns = list(dict.fromkeys(r["metric"] for r in given["rows"]))
    lines = [["population", "participants", "model", *columns]]
    for name, size in given["participants"].items():
        mine = [r for r in given["rows"] if r["population"] == name]
        for model in dict.fromkeys(r["model"] for r in mine):
            cells = {r["metric"]: _cell(r) for r in mine if r["model"] == model}
            lines.append([name, str(size), model, *(cells.get(c, "") for c in columns)])
    return _table(lines)


def _missing(evaluation: Evaluation) -> str:
    """Return an explanation, and the table of scores by missing rate."""
    curves = evaluation.details[CURVES]
    lines = [[curves["metric"], *(f"{100 * r:g} %" for r in curves["rates"])]]
    lines += [[m, *map(_number, curve)] for m, curve in curves["models"].items()]
    text = (
        "Mean over participants at each rate of test values that are missing, each "
        "value independently; models trained on the rows as they are."
    )
    return f"{text}\n\n{_table(lines)}"


def _audit(evaluation: Evaluation) -> str:
    return "\n".join(f"- {line}" for line in str(evaluation.audit).splitlines())


def _cell(row: dict[str, Any]) -> str:
    return _interval(row, "mean")


def _interval(row: dict[str, Any], key: str) -> str:
    low, high = _number(row["low"]), _number(row["high"])
    return f"{_number(row[key])} [{low}, {high}]"


def _number(value: float | None, digits: int = 3) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.{digits}f}"


def _table(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |"
        for r in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _known(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_known(v) for v in value]
    if isinstance(value, np.generic):
        return _known(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
