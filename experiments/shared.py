"""Functions that several experiments use."""

from pathlib import Path

from physio.datasets.wesad import Wesad


def open_wesad(root: Path | None) -> Wesad:
    """Return WESAD in a folder, or in the folder ``wesad`` inside it.

    Parameters
    ----------
    root
        The folder given by ``--data``.

    Raises
    ------
    ValueError
        If no folder is given.
    FileNotFoundError
        If WESAD is not there: see `physio.datasets.wesad.Wesad`.
    """
    if root is None:
        raise ValueError(
            "skin conductance is read from WESAD itself: say where it is, with --data"
        )
    inside = root / "wesad"
    return Wesad(inside if inside.is_dir() else root)
