"""Checks of an input file before it is read."""

from pathlib import Path


def existing_file(path: str | Path) -> Path:
    """Return the path of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a pipe or a device.
    """
    path = Path(path)
    refuse_endless(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return path


def refuse_endless(path: Path) -> None:
    """Refuse a pipe, a socket or a device, of which a reader may find no end.

    A path that does not exist, or is a folder, passes.

    Raises
    ------
    ValueError
        If it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError(
            f"{path} is a pipe or a device and no file: save its content in a file"
        )


def read_bytes(path: str | Path, file_format: str) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a folder, a pipe or a device.
    """
    refuse_endless(Path(path))
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not an {file_format} file") from None
