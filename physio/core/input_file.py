"""Checks of an input file before it is read."""

from pathlib import Path


def existing_file(path: str | Path) -> Path:
    """Return the path of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return path


def read_bytes(path: str | Path, file_format: str) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a folder.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not an {file_format} file") from None
