"""Commands about one participant: what is known of them, and what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from physio.cli.sessions import Consent, DemoWeights, Trust


def calibrate(
    source: Annotated[
        Path, typer.Argument(help="A session file (TOML) to run, or a recording.")
    ],
    out: Annotated[Path, typer.Option(help="Where the calibration file goes (JSON).")],
    rest: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="From when to when the participant rested (s); in a recording."
        ),
    ] = None,
    worn: Annotated[
        float, typer.Option(min=0.0, help="How long to wear the sensors first (s).")
    ] = 600.0,
    seconds: Annotated[
        float, typer.Option(min=1.0, help="How long to rest (s): two to five minutes.")
    ] = 180.0,
    participant: Annotated[
        str | None, typer.Option(help="Code of the participant; never a name.")
    ] = None,
    consent: Consent = None,
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Learn what one participant is like at rest, and from moments that they rate.

    With a session file, the sensors are worn, then the participant rests; after that,
    type m and `sam 7 3 5` (valence, arousal, dominance, 1 to 9) to rate moments, and q
    to end. Of a recording, the markers `rest` and `rest over` say when the rest was.
    The file is small and the participant's own: delete it, and nothing is known of them
    any more.

    Example: `physio calibrate configs/simulated.toml --out p07.json`
    """
    from physio.datasets.open_recording import read
    from physio.online import personal_calibration, session_config

    folder = None
    if source.suffix == ".toml":
        if seconds < personal_calibration.SHORTEST:
            raise ValueError(
                f"a rest of {seconds:.0f} s is too short: two to five minutes are "
                "asked for"
            )
        folder = _guided(
            source, worn, seconds, participant, consent, demo_weights, trust
        )
        source = folder / "recording.xdf"
    recording = read(source)
    file = session_config.recorded(recording) or session_config.SessionConfig(
        at=source.name
    )
    made = file.plan(recording.inputs, demo_weights=demo_weights)
    who = participant or recording.metadata.get("participant", "")
    found, poor = personal_calibration.calibrate(recording, made, rest, who)
    found.write(out)
    for text in poor:
        typer.echo(text)
    rested = ", ".join(f"{e.weights} {e.past:.0f} s" for e in found.experts)
    typer.echo(f"{out}: rest ({rested}), {len(found.labels)} rated moments")


def rate(
    values: Annotated[
        list[float],
        typer.Argument(help="Valence, arousal, dominance; nan for what is not said."),
    ],
    scale: Annotated[
        str, typer.Option(help="sam: 1 to 9, about the last moments; now: -1 to 1.")
    ] = "sam",
    session: Annotated[
        Path | None,
        typer.Option(help="The session's folder; by default the newest one."),
    ] = None,
    participant: Annotated[
        str, typer.Option(help="Whose, in a session of several participants.")
    ] = "",
) -> None:
    """Tell a session that runs in another terminal how its participant feels.

    Example: `physio rate 7 3 5`, or `physio rate 0.5 -0.2 nan --scale now`
    """
    from physio.cli import session_folder
    from physio.cli.sessions import newest
    from physio.inference import self_report
    from physio.online import remote_control

    if len(values) > 3:
        raise ValueError(f"a rating has at most 3 numbers, not {len(values)}")
    told = [*values, *[float("nan")] * (3 - len(values))]
    kinds = {"sam": self_report.SAM, "now": self_report.CONTINUOUS}
    if scale not in kinds:
        raise ValueError(f"the scale is sam or now, not {scale!r}")
    if scale == "sam":
        told = self_report.from_sam(told)
    found = session_folder.check(session or newest(Path("sessions")))
    remote_control.rate(found, told, kinds[scale], participant)


COMMANDS: Final[list[Callable[..., None]]] = [calibrate]


def _guided(
    config: Path,
    worn: float,
    seconds: float,
    participant: str | None,
    consent: str | None,
    demo_weights: bool,
    trust: list[str],
) -> Path:
    """Run the devices, say when to rest, and return the session's folder."""
    from physio.cli.sessions import run_devices
    from physio.online.prompts import PromptSequence, Step

    steps = (
        Step(0.0, "", f"Wear the sensors for {worn / 60:.0f} min and do as you like."),
        Step(worn, "rest", f"Sit still, eyes open, and rest for {seconds:.0f} s."),
        Step(
            worn + seconds, "rest over", "Thank you. Rate moments now, or end with q."
        ),
    )
    told = {"participant": participant, "consent": consent}
    return run_devices(
        config,
        None,
        None,
        None,
        told,
        demo_weights,
        trust,
        guide=lambda clock: PromptSequence(steps, clock, typer.echo),
    )
