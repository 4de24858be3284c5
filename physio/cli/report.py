"""The command that makes a page of what was measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import pandas as pd

    from physio.core.recording import Recording
    from physio.view.reports.html import Page


def report(
    path: Annotated[
        Path,
        typer.Argument(
            help="A session's folder or a recording; the folder of an evaluation or a "
            "training run, or the JSON of one or of an audit; or a table of features, "
            "as `physio extract` makes it."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the page goes; by default PATH/report.html."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Audit this split of a table, too; `none` for no audit."),
    ] = "loso",
    figures: Annotated[
        Path | None,
        typer.Option(help="A folder for the pictures, as PNG, SVG and PDF."),
    ] = None,
) -> None:
    """Make a page that needs nothing else, with all pictures inside.

    Of a session: what was recorded and how good it is, estimates by condition, a data
    sheet, methods ready to paste. Of an evaluation: its audit, tables and pictures. Of
    a table of features: what is usable, of whom, and why not.

    Example: `physio report sessions/p07-20260412-101500 --figures pictures`
    """
    page = _page(path, protocol)
    beside = path / "report.html" if path.is_dir() else path.with_suffix(".html")
    into = out or beside
    into.write_text(str(page), "utf-8")
    typer.echo(f"report: {into}")
    for one in page.keep(figures) if figures else ():
        typer.echo(f"  {one}")


_SHOWING: Final = ("photodiode", "microphone")  # channels that show what is marked

COMMANDS: Final[list[Callable[..., None]]] = [report]


def _page(path: Path, protocol: str) -> "Page":
    """Return the page of whatever a path holds."""
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if any(path.glob("subject=*/windows.parquet")) or path.suffix == ".parquet":
        return _of_table(path, protocol)
    result = path / "evaluation.json" if path.is_dir() else path
    if result.suffix == ".json" and result.is_file():
        page = _of_result(result)
        return _of_run(page, path) if path.is_dir() else page
    if path.is_dir() and not any(path.iterdir()):
        raise ValueError(f"there is nothing in {path} that a report is made of")
    return _of_session(path)


def _of_run(page: "Page", run: Path) -> "Page":
    """Add to an evaluation's page what else its folder holds."""
    from physio.view.reports.training_run import added

    return added(page, run)


def _of_result(path: Path) -> "Page":
    """Return the page of an evaluation or an audit."""
    from physio.view.reports.evaluation import audit_report, evaluation_report

    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError:
        told = None
    if isinstance(told, dict) and isinstance(told.get("rows"), list):
        if all({"model", "metric"} <= row.keys() for row in told["rows"]):
            return evaluation_report(told)
    elif isinstance(told, dict) and {"protocol", "findings", "ok"} <= told.keys():
        return audit_report(told)
    raise ValueError(
        f"{path} is neither an evaluation (dataset, protocol, rows) nor an audit "
        "(protocol, ok, findings)"
    )


def _of_session(path: Path) -> "Page":
    """Return the page of a session, or of any recording: then it is computed now."""
    from physio.cli.dashboard import whole_of
    from physio.view.reports.session import session_report

    recording, features, estimates = whole_of(path)
    named = [e for n, e in recording.events.items() if n.endswith(".conditions")]
    conditions = named[0] if named else None
    timing = _timing(recording)
    return session_report(recording, features, estimates, conditions, timing)


def _timing(recording: "Recording") -> dict[str, str]:
    """Return how late markers are against each channel that shows what they mark."""
    from physio.study.marker_latency import marker_latency

    found = {}
    for info in recording.infos:
        for name in info.names:
            if not any(word in name.lower() for word in _SHOWING):
                continue
            try:
                late = marker_latency(recording, name)
            except ValueError as error:  # no marker, or none with a flank
                found[name] = str(error)
                continue
            found[name] = (
                f"{1e3 * late.median:+.1f} ms, jitter {1e3 * late.jitter:.1f} ms, "
                f"worst {1e3 * late.worst:.1f} ms ({late.n} of {late.markers} markers)"
            )
    return found


def _of_table(path: Path, protocol: str) -> "Page":
    from physio.datasets import feature_table
    from physio.view.reports.dataset import dataset_report

    table = feature_table.read(path)
    audits = [] if protocol == "none" else _audits(table, protocol)
    return dataset_report(table, audits)


def _audits(table: "pd.DataFrame", protocol: str) -> list[dict[str, Any]]:
    """Return the audit of the labelled windows by a protocol, if it divides them."""
    from physio.datasets.feature_table import LABEL
    from physio.evaluation import splits
    from physio.evaluation.leakage.audit import audit

    rows = table[table[LABEL].astype(str) != ""].reset_index(drop=True)
    by = splits.protocol(protocol)
    if rows[LABEL].nunique() < 2:
        return []
    try:
        folds = splits.divide(rows, by, inner=False)
    except ValueError as error:
        typer.echo(f"no audit: {error}", err=True)
        return []
    return [audit(rows, folds).to_dict()]
