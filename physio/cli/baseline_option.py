"""Option for the baseline of a participant: BEGIN END, or a condition."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from physio.core.baseline_choice import BaselineChoice

if TYPE_CHECKING:
    from physio.core.recording import Recording

_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)

Baseline = Annotated[
    str,
    typer.Option(
        metavar="BEGIN END or NAME",
        help="Baseline of the participant: BEGIN END (s after the beginning), or the "
        "name of a condition.",
    ),
]


def chosen(text: str) -> BaselineChoice | None:
    """Return the choice that the option states; None without it."""
    return BaselineChoice.parse(text) if text else None


def chosen_times(
    text: str, recording: "Recording | None" = None
) -> tuple[float, float] | None:
    """Return begin and end (s after the beginning) of the baseline that is stated.

    Parameters
    ----------
    text
        The option; empty for none.
    recording
        The recording, whose conditions the option may name.

    Raises
    ------
    ValueError
        If the recording has no such condition, or ends before the baseline.
    """
    choice = chosen(text)
    if choice is None:
        return None
    if recording is None:
        if choice.condition:
            raise ValueError(
                f"--baseline {choice.condition!r}: the conditions of a live session "
                "are not known beforehand: give BEGIN END (s after the beginning)"
            )
        return choice.begin, choice.end
    from physio.offline.condition_baseline import baseline_spans
    from physio.offline.conditions import recorded_conditions

    first, _ = baseline_spans(choice, recording, recorded_conditions(recording))
    return first.begin - recording.begin, first.end - recording.begin


class BaselineCommand(TyperCommand):
    """Command whose ``--baseline`` takes two numbers or one name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join two numbers after ``--baseline`` to one value, and parse."""
        joined = list(args)
        for i, word in enumerate(args[:-2]):
            pair = args[i + 1 : i + 3]
            if word == "--baseline" and all(map(_NUMBER.fullmatch, pair)):
                joined[i + 1 : i + 3] = [" ".join(pair)]
                break
        return super().parse_args(ctx, joined)
