"""MATLAB files, parsed in a separate process with limits on time and memory."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from physio.core.input_file import existing_file

SECONDS: Final = 300.0
"""Time limit of parsing (s)."""

MEMORY: Final = 4 * 2**30
"""Memory limit of parsing (bytes), or eight times the file if that is more."""

_CRASHED: Final = "the parser crashed on it"


def load(
    path: str | Path,
    names: str = "*",
    *,
    within: str = "",
    seconds: float = SECONDS,
    memory: int = MEMORY,
) -> dict[str, npt.NDArray[Any]]:
    """Read variables of a MATLAB file (version 5 to 7.2).

    Parameters
    ----------
    path
        The file.
    names
        Names of the variables, as a file pattern: ``"*_eeg7"``.
    within
        Path of the values to read: ``"DREAMER/Data/0/"``.
    seconds, memory
        Limits of the parser (s, bytes).

    Returns
    -------
    dict of ndarray
        Numbers and texts by path. A path consists of the names of fields and, in cells
        and arrays of structs, of indices from 0 in MATLAB's order,
        ``"DREAMER/Data/0/EEG/stimuli/17"``. A text is an array with one element.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read within the limits; the message gives the reason.

    Notes
    -----
    SciPy's parser is not safe for untrusted files: a crafted file crashes it. It
    therefore runs in another process, whose limits the operating system enforces and
    which returns plain arrays only. On systems without memory limits (Windows) only the
    time is limited.
    """
    path = existing_file(path)
    with path.open("rb") as file:
        head = file.read(128)
    if not head.startswith(b"MATLAB 5.0"):
        newer = head.startswith(b"MATLAB 7.3")
        raise ValueError(
            f"{path} is a MATLAB file of version 7.3; save it with '-v7'"
            if newer
            else f"{path} is no MATLAB file of version 5 to 7.2"
        )
    limit = max(memory, 8 * path.stat().st_size)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "arrays.npz"
        _parse(path, [names, within, str(limit)], output, seconds)
        with np.load(output, allow_pickle=False) as arrays:
            # The zip would lose a slash at the end, so names are stored separately.
            return {
                name: arrays[f"a{i}"] for i, name in enumerate(arrays["names"].tolist())
            }


def _parse(path: Path, wanted: list[str], output: Path, seconds: float) -> None:
    child = Path(__file__).with_name("worker.py")
    # -P: modules must not be imported from a folder of data.
    command = [sys.executable, "-P", str(child), str(path), str(output), *wanted]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=seconds, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{path} cannot be read: parsing it took more than {seconds:g} s"
        ) from None
    if done.returncode == 0 and output.is_file():
        return
    lines = done.stdout.strip().splitlines()
    raise ValueError(f"{path} cannot be read: {lines[-1] if lines else _CRASHED}")
