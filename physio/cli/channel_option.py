"""Option of commands that read recordings: a file with corrections of channels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from physio.core.recording import Recording
    from physio.online.session_config import SessionConfig

Channels = Annotated[
    Path | None,
    typer.Option(
        "--channels",
        help="File (TOML) with tables [channels.DEVICE.STREAM]: names, types and units "
        "of channels, and those to leave out (docs/session.md).",
    ),
]


def with_channels(file: "SessionConfig", path: Path | None) -> "SessionConfig":
    """Return a session file with the corrections of another file, if one is given.

    Raises
    ------
    ValueError
        If the file has no table ``[channels]``.
    """
    from dataclasses import replace

    from physio import config

    if path is None:
        return file
    table = config.read(path).get("channels")
    if not table:
        raise ValueError(f"{path}: there is no table [channels.DEVICE.STREAM]")
    corrected = replace(file, tables={**file.tables, "channels": table})
    return replace(corrected, channels_at=f"{path.name}: channels")


def corrected(recording: "Recording", path: Path | None) -> "Recording":
    """Return a recording with the corrections of a file, if one is given."""
    from physio.online.session_config import SessionConfig

    return with_channels(SessionConfig(), path).channels.correct(recording)
