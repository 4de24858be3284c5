"""Commands for one participant: personal calibration and ratings."""

from pathlib import Path
from typing import Annotated

import typer

from physio.cli.output import Trust, config_path, say
from physio.cli.sessions import Consent, DemoWeights
from physio.core.counted_nouns import counted

Source = Annotated[
    Path,
    typer.Argument(
        help="Session file (TOML) to run, or a recording.", callback=config_path
    ),
]


def calibrate(
    source: Source,
    out: Annotated[Path, typer.Option(help="The new calibration file (JSON).")],
    baseline: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Start and end of the baseline in a recording (s)."),
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0.0, help="Settling time of the sensors (s).")
    ] = 600.0,
    seconds: Annotated[
        float,
        typer.Option(min=1.0, help="Duration of the baseline (s): 120 to 300."),
    ] = 180.0,
    participant: Annotated[
        str | None, typer.Option(help="Participant code; never a name.")
    ] = None,
    consent: Consent = None,
    demo_weights: DemoWeights = False,
    trust: Trust = [],  # noqa: B006 typer wants a list
) -> None:
    """Calibrate the estimates to one participant: a resting baseline and ratings.

    With a session file, the sensors settle and a baseline is recorded at rest; then
    type m and `sam 7 3 5` (valence, arousal, dominance, 1 to 9) to rate moments, and q
    to end. In a recording, markers delimit the baseline, or --baseline does. The file
    is small and personal: deleting it deletes all that was learned of the participant.

    Example: `physio calibrate configs/simulated.toml --out p07.json`
    """
    from physio.datasets.open_recording import read
    from physio.online import personal_calibration, session_config

    folder = None
    if source.suffix == ".toml":
        if seconds < personal_calibration.SHORTEST:
            raise ValueError(
                f"a baseline of {seconds:.0f} s is too short: it takes two to five "
                "minutes"
            )
        folder = _guided(
            source, settle, seconds, participant, consent, demo_weights, trust
        )
        source = folder / "recording.xdf"
    recording = read(source)
    file = session_config.recorded(recording) or session_config.SessionConfig(
        at=source.name
    )
    pipeline = file.plan(recording.inputs, demo_weights=demo_weights)
    code = participant or recording.metadata.get("participant", "")
    calibration, poor = personal_calibration.calibrate(
        recording, pipeline, baseline, code
    )
    calibration.write(out)
    for text in poor:
        say(text)
    begin, end = (
        at - recording.begin
        for at in personal_calibration.baseline_span(recording, baseline)
    )
    baselines = ", ".join(f"{e.weights} {e.past:.0f} s" for e in calibration.experts)
    say(
        f"{out}: baseline {begin:.0f} to {end:.0f} s after the beginning "
        f"({baselines}), {counted(len(calibration.labels), 'rating')}"
    )


def rate(
    values: Annotated[
        list[float],
        typer.Argument(help="Valence, arousal, dominance; nan for none."),
    ],
    scale: Annotated[
        str, typer.Option(help="sam: 1 to 9, of the last seconds; now: -1 to 1.")
    ] = "sam",
    session: Annotated[
        Path | None,
        typer.Option(help="Folder of the session; default: the newest."),
    ] = None,
    participant: Annotated[
        str, typer.Option(help="Participant code, in a session of several.")
    ] = "",
) -> None:
    """Send a rating to a session that runs in another terminal.

    Example: `physio rate 7 3 5`, or `physio rate 0.5 -0.2 nan --scale now`
    """
    from physio.cli import session_folder
    from physio.cli.sessions import newest
    from physio.inference import self_report
    from physio.online import remote_control

    if len(values) > 3:
        raise ValueError(f"a rating has at most 3 numbers, not {len(values)}")
    rating = [*values, *[float("nan")] * (3 - len(values))]
    kinds = {"sam": self_report.SAM, "now": self_report.CONTINUOUS}
    if scale not in kinds:
        raise ValueError(f"the scale is sam or now, not {scale!r}")
    if scale == "sam":
        rating = self_report.from_sam(rating)
    folder = session_folder.check(session or newest(Path("sessions")))
    remote_control.rate(folder, rating, kinds[scale], participant)


def _guided(
    config: Path,
    settle: float,
    seconds: float,
    participant: str | None,
    consent: str | None,
    demo_weights: bool,
    trust: list[str],
) -> Path:
    """Run the devices with prompts for the baseline; return the session's folder."""
    from physio.cli.sessions import DeviceSession, run_devices, session_file
    from physio.core.recording import BASELINE_END, BASELINE_START
    from physio.online.prompts import PromptSequence, Step

    steps = (
        Step(0.0, "", f"Wear the sensors for {settle / 60:.0f} min; move freely."),
        Step(
            settle,
            BASELINE_START,
            f"Rest for {seconds:.0f} s, still, eyes open.",
        ),
        Step(
            settle + seconds,
            BASELINE_END,
            "Thank you. Rate moments now, or end with q.",
        ),
    )
    return run_devices(
        DeviceSession(
            session_file(config, participant, consent, tuple(trust)),
            demo_weights=demo_weights,
            guide=lambda clock: PromptSequence(steps, clock, say),
        )
    )
