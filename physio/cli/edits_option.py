"""Options of commands that use the edits by eye of a recording."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physio.cli.output import say

if TYPE_CHECKING:
    from physio.core.edits import Edits
    from physio.core.recording import Recording

UseEdits = Annotated[
    bool,
    typer.Option(
        "--edits/--no-edits",
        help="Use the edits by eye beside the recording (docs/correct.md); values "
        "without them are stated beside.",
    ),
]
Rater = Annotated[
    str, typer.Option(help="Rater whose edits are used; default: the only one.")
]


def chosen_edits(
    path: Path, recording: "Recording", use: bool, rater: str, entities: str = ""
) -> "Edits | None":
    """Return the edits of a recording on the session clock; say if none are used."""
    from physio.offline.edits_file import EditsChoice, edits_of

    edits, words = edits_of(path, recording.begin, EditsChoice(use, rater), entities)
    if words and edits is None:
        say(f"note: {words}")
    return edits


def say_unused(root: Path | None) -> None:
    """Say that training ignores the edits by eye in a folder, if there are some."""
    from physio.offline.edits_file import unused_note

    if root is not None and (words := unused_note(root)):
        say(words)


def entities_of(path: Path, participant: str, session: str, task: str) -> str:
    """Return the entities of a recording of a BIDS folder; "" for another path."""
    if not (path / "dataset_description.json").is_file():
        return ""
    return f"sub-{participant}_ses-{session}_task-{task}"
