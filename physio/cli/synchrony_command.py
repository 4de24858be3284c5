"""The command that compares the signals of two people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physio.cli.output import STANDARD_OUTPUT, JsonPath, say, write_json
from physio.core.private_file import refuse_link

if TYPE_CHECKING:
    import pandas as pd

    from physio.core.recording import Recording


def synchrony(
    first: Annotated[Path, typer.Argument(help="Recording of one person, or of both.")],
    second: Annotated[
        Path | None, typer.Argument(help="Recording of the other person.")
    ] = None,
    people: Annotated[
        tuple[str, str],
        typer.Option(help="Codes of the two, in recordings of several."),
    ] = ("", ""),
    offset: Annotated[
        float | None,
        typer.Option(
            help="Begin of the second recording after the first (s); default: from "
            "their dates, or 0."
        ),
    ] = None,
    window: Annotated[float, typer.Option(help="Duration of a window (s).")] = 60.0,
    lag: Annotated[float, typer.Option(help="Largest lag searched (s).")] = 5.0,
    shifts: Annotated[int, typer.Option(help="Number of shifts in time.")] = 500,
    output: Annotated[
        Path | None, typer.Option(help="Table to write (CSV); default: none.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Figure of both people side by side.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Compare skin conductance, heart rate and breathing of two people (exploratory).

    Windowed cross-correlation with lags, and coherence; chance is estimated by shifting
    one record in time. Overwrites nothing.

    Example: `physio synchrony sessions/dyad --people p1 p2 --plot dyad.png`
    """
    from physio.datasets.open_recording import read
    from physio.offline.synchrony import LABEL, SynchronySettings, compare_recordings

    for target in (output, plot, json_path):
        if target is not None and str(target) != STANDARD_OUTPUT:
            _refuse_present(target)
    settings = SynchronySettings(window=window, step=window / 2, lag=lag, shifts=shifts)
    if second is not None and _file(first).resolve() == _file(second).resolve():
        raise ValueError(
            f"{first} is given twice: give the other person's recording, or this one "
            "once for two people in it"
        )
    former = read(_file(first))
    latter = read(_file(second)) if second is not None else former
    if second is None:
        people = _two_people(former, people, first)
    shift, source = _offset(former, latter, offset)
    table, tracks, notes = compare_recordings(former, latter, people, shift, settings)
    names = people[0] or first.stem, people[1] or (second or first).stem
    say(f"synchrony of {names[0]} and {names[1]} ({LABEL})")
    if second is not None:
        say(f"{second.name} begins {shift:+.2f} s after {first.name} ({source})")
    _print(table, names)
    for note in notes:
        say(f"note: {note}")
    if output is not None:
        table.to_csv(output, index=False)
        say(str(output))
    if plot is not None:
        from physio.view.plots.dyad import dyad_figure

        dyad_figure(table, tracks, names).savefig(plot, dpi=110)
        say(f"figure: {plot}")
    rows = table.to_dict(orient="records")
    write_json(json_path, {"people": list(names), "offset": shift, "rows": rows})


def _file(path: Path) -> Path:
    at = path / "recording.xdf"
    return at if at.is_file() else path


def _refuse_present(path: Path) -> None:
    refuse_link(path)
    if path.exists():
        raise ValueError(f"{path} exists, and is not overwritten: give a new name")


def _two_people(
    recording: "Recording", people: tuple[str, str], path: Path
) -> tuple[str, str]:
    """Return the codes of the two people of one recording."""
    codes = tuple(
        dict.fromkeys(i.participant for i in recording.infos if i.participant)
    )
    if all(people):
        return people
    if len(codes) != 2:
        raise ValueError(
            f"{path} is of {', '.join(codes) or 'a person without a code'}: name two "
            "with --people, or give a second recording"
        )
    return codes[0], codes[1]


def _offset(
    former: "Recording", latter: "Recording", given: float | None
) -> tuple[float, str]:
    """Return the begin of the second recording after the first (s), and its source."""
    if given is not None:
        return given, "as given"
    if former is latter:
        return 0.0, "the same recording"
    if former.date is None or latter.date is None:
        return 0.0, "a recording has no date; taken as the same time, see --offset"
    return (latter.date - former.date).total_seconds(), "from their dates"


def _print(table: "pd.DataFrame", names: tuple[str, str]) -> None:
    for row in table.to_dict(orient="records"):
        lag = float(row["lag"])
        order = f"{names[1]} follows" if lag > 0 else f"{names[0]} follows"
        when = f"{abs(lag):.1f} s, {order}" if lag else "0 s"
        say(
            f"{row['measure']}: r {row['correlation']:.2f} at {when} "
            f"(p {row['correlation_p']:.3f}, corrected "
            f"{row['correlation_p_holm']:.3f}); coherence {row['coherence']:.2f} "
            f"(p {row['coherence_p']:.3f}, corrected {row['coherence_p_holm']:.3f}); "
            f"{row['windows']} windows, "
            f"{row['surrogates']} shifts"
        )
