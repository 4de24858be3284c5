"""Files of the Enobio and Starstim headsets (``.easy``)."""

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.tables.column_map import ColumnMap, ColumnSignal
from physio.io.tables.table_recording import from_table
from physio.io.tables.text_table import decode

_BESIDE: Final = 5  # columns of acceleration, trigger and time


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of an Enobio.

    Streams ``enobio.eeg`` (uV) and ``enobio.acc`` (g), events ``enobio.markers``. The
    names of the electrodes are those of the file ``.info`` beside it, else ``ch1`` ...

    Parameters
    ----------
    path
        The file, ``.easy``: electrodes in nV, acceleration in mm/s^2, trigger, and Unix
        time in ms.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no table of this form.
    """
    path = existing_file(path)
    try:
        data = np.loadtxt(path, ndmin=2, comments=None)
    except ValueError as error:
        reason = str(error).split(";")[0][:120]
        raise ValueError(f"{path} is no file of an Enobio: {reason}") from None
    electrodes = data.shape[1] - _BESIDE
    moving = electrodes in (8, 20, 32)
    if not moving:  # files without acceleration
        electrodes += 3
    if electrodes < 1 or not 1e12 < np.median(data[:, -1]) < 4e12:
        raise ValueError(
            f"{path} is no file of an Enobio: its last column must be Unix time in ms"
        )
    names = _names(path, electrodes)
    columns = [*names, *("xyz" if moving else ""), "trigger", "time"]
    frame = pd.DataFrame(data, columns=columns)
    signals = [ColumnSignal(n, "eeg", "nV") for n in names]
    if moving:
        signals += [ColumnSignal(a, f"acc.{a}", "m/s^2", 1e-3) for a in "xyz"]
    signals.append(ColumnSignal("trigger", "marker"))
    meaning = ColumnMap(
        tuple(signals), ("time",), "ms", rate=500, name="enobio", site="head",
        source="Enobio",
    )  # fmt: skip
    return from_table(frame, meaning, participant=participant)


def _names(path: Path, n: int) -> list[str]:
    """Return the electrodes that the file ``.info`` lists."""
    info = path.with_suffix(".info")
    if info.is_file() and info.stat().st_size < 2**20:
        text = decode(info.read_bytes())
        names = re.findall(r"Channel \d+:\s*([\w+-]+)", text)
        if len(names) == n and len(set(names)) == n:
            return names
    return [f"ch{i}" for i in range(1, n + 1)]
