"""The command that evaluates models on held-out participants."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.output import JsonPath, Trust, config_path, say, write_text

if TYPE_CHECKING:
    import pandas as pd


TestTable = Annotated[
    Path | None,
    typer.Option(help="Outside table of features to test on; --table trains."),
]
TestParticipants = Annotated[
    str,
    typer.Option(help="Participants to test, separated by commas; all others train."),
]
StoredFolds = Annotated[
    Path | None,
    typer.Option(help="Stored folds (JSON) instead of the file's protocol."),
]


def evaluate(
    config: Annotated[
        Path, typer.Argument(help="Evaluation file (TOML).", callback=config_path)
    ],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set, if it needs one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for results (JSON, Markdown), model outputs and the table."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Existing table of features, instead of the file's [table]."),
    ] = None,
    test: TestTable = None,
    test_participants: TestParticipants = "",
    folds: StoredFolds = None,
    backend: Annotated[
        str, typer.Option(help="Backend that computes the table: see `physio extract`.")
    ] = "serial",
    json_path: JsonPath = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Evaluate models on held-out participants, with baselines and a leakage audit.

    The file's table `[evaluation]` names the data, split and models. If it also has
    `[table]`, features are computed first by the stages that run live (stored in
    OUT/table).

    The test rows are those of the file's protocol, or of one of --test,
    --test-participants and --folds.

    Example: `physio evaluate configs/evaluate-wesad-stress.toml --data DATA --out OUT`
    """
    from rich.console import Console

    from physio.datasets import feature_table
    from physio.evaluation import held_out, results
    from physio.evaluation.config import read_evaluation
    from physio.evaluation.evaluate import Evaluation

    settings: Any = read_evaluation(config, tuple(trust))
    rows = _table(config, data, out, table, (backend, tuple(trust)))
    outside = None if test is None else feature_table.read(test)
    rows, split, notes = held_out.choose(
        settings, (rows, outside), test_participants, folds
    )
    with Console(stderr=True).status("training and evaluating models"):
        if split is None:
            evaluation = settings.evaluate(data, rows)
        else:
            evaluation = settings.evaluate(data, rows, split)
    evaluation = replace(evaluation, notes=(*evaluation.notes, *notes))
    if evaluation.leaks:
        say("this split LEAKS: use it only to reproduce a published result")
    for note in evaluation.notes:
        say(note)
    say(results.summary(evaluation))
    rows_tested = isinstance(evaluation, Evaluation)
    if rows_tested:
        say(str(evaluation.audit))
    if out is not None:
        results.save(evaluation, out)
        if rows_tested and evaluation.reliability:
            _draw_reliability(out)
        say(f"results: {out / results.PAGE}")
    write_text(json_path, results.dumped(evaluation.to_dict()))


def _draw_reliability(out: Path) -> None:
    """Draw predicted probabilities against frequencies, beside the results."""
    import json

    import pandas as pd

    from physio.evaluation import results
    from physio.view.plots.results import calibration_figure

    stored = json.loads((out / results.RESULT).read_text("utf-8"))
    models = [r["model"] for r in stored["reliability"]]
    outputs = pd.read_parquet(out / results.OUTPUTS)
    figure = calibration_figure(outputs, models, stored["classes"])
    figure.savefig(out / results.RELIABILITY, dpi=120)


_KNOWN: Final = (
    "dataset", "folder", "window", "step", "min_valid", "session", "chains",
)  # fmt: skip


def _table(
    path: Path,
    data: Path | None,
    out: Path | None,
    existing: Path | None,
    execution: tuple[str, tuple[str, ...]],
) -> "pd.DataFrame | None":
    """Return the table of features that a file asks for, computed if need be.

    ``execution``: the backend that computes it, and the packages that are trusted.
    """
    from tempfile import TemporaryDirectory

    from physio import config
    from physio.datasets import feature_table
    from physio.evaluation.config import TABLE

    if existing is not None:
        return feature_table.read(existing)
    asked = config.read(path).get(TABLE)
    if asked is None:
        return None
    config.allow(asked, _KNOWN, f"{path.name}: {TABLE}", "a table of features")
    if "dataset" not in asked:
        raise ValueError(f"{path.name}: {TABLE} needs a value for 'dataset'")
    if data is None:
        raise ValueError(
            f"{path.name} computes features of {asked['dataset']}: give its folder "
            "with --data, or an existing table with --table"
        )
    with TemporaryDirectory() as folder:
        into = (out if out is not None else Path(folder)) / "table"
        _extract(asked, path, data, into, execution)
        return feature_table.read(into)


def _extract(
    asked: Mapping[str, Any],
    path: Path,
    data: Path,
    into: Path,
    execution: tuple[str, tuple[str, ...]],
) -> None:
    from physio import config
    from physio.cli.extract import progress
    from physio.datasets.library import open_dataset
    from physio.offline.extract import Windows, extract

    backend, trust = execution
    subfolder = data / str(asked.get("folder", asked["dataset"]))
    dataset = open_dataset(
        str(asked["dataset"]), subfolder if subfolder.is_dir() else data, trust
    )
    tables = {k: v for k, v in asked.items() if k == "chains"}
    if "session" in asked:
        tables = config.read(path.parent / str(asked["session"]))
    lengths = {k: asked[k] for k in ("window", "step", "min_valid") if k in asked}
    settings = config.make(
        Windows, {k: float(v) for k, v in lengths.items()}, f"{path.name}: table"
    )
    settings = replace(settings, tables=tables, trust=trust)
    participants = len({trial.subject for trial in dataset.trials()})
    with progress(participants) as report:
        outcomes = extract(dataset, into, settings, backend=backend, on_progress=report)
    failed = [o for o in outcomes if o.status == "failed"]
    for outcome in failed:
        say(f"{outcome.subject} is excluded: {outcome.error}", err=True)
    if len(failed) == len(outcomes):
        say("features could be computed of no participant", err=True)
        sys.exit(1)
