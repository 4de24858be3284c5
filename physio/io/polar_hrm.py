"""Files of Polar heart rate monitors (``.hrm``)."""

import re
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.tables.text_table import decode

HEAD: Final = rb"\s*\[Params\]"

_INTERVALS: Final = 238
"""Value of ``Interval`` for intervals from beat to beat, in ms."""

_LARGEST: Final = 64 * 2**20  # bytes
_LONGEST: Final = 1e6  # ms, longer than any interval between two beats


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a Polar file: events ``polar.ibi`` (s), or the stream ``polar.hr`` (1/min).

    Parameters
    ----------
    path
        The file, ``.hrm``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no section ``[HRData]`` of numbers.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 64 MB; no file of this format is")
    text = decode(path.read_bytes())
    sections = re.split(r"^\[(\w[\w-]*)\]\s*$", text, flags=re.MULTILINE)
    parts = dict(zip(sections[1::2], sections[2::2], strict=False))
    params = dict(
        re.findall(r"^(\w+)=(.*?)\s*$", parts.get("Params", ""), re.MULTILINE)
    )
    rows = [
        line.split() for line in parts.get("HRData", "").splitlines() if line.strip()
    ]
    try:
        values = np.array([float(row[0]) for row in rows])
        step = int(params["Interval"])
    except (ValueError, KeyError):
        raise ValueError(
            f"{path} is no file of a Polar monitor: it needs Interval in [Params] and "
            "numbers in [HRData]"
        ) from None
    about = {"source": "Polar", "begin": "0.0"}
    if participant:
        about["participant"] = participant
    about |= _date(params)
    if step == _INTERVALS:
        good = (values > 0) & (values < _LONGEST)
        if len(good) and good.mean() < 0.5:
            raise ValueError(
                f"{path}: intervals between beats must be above 0 and below "
                f"{_LONGEST:g} ms, not {values.min():g} to {values.max():g} ms"
            )
        if not good.all():
            note = f"{(~good).sum()} values that are no interval were left out"
            about["warnings"] = "; ".join(filter(None, [about.get("warnings"), note]))
        values = values[good]
        seconds = values / 1000
        interval = Channel("interval", "misc", "s")
        info = StreamInfo(
            "polar.ibi", Fraction(0), (interval,), participant=participant, site="chest"
        )
        times = np.cumsum(seconds)
        until = float(times[-1]) if len(times) else 0.0
        beats = Events(info, until, times, seconds[:, None].copy())
        return Recording({}, {info.name: beats}, (), about)
    if not 1 <= step <= 300:
        raise ValueError(
            f"{path}: an Interval of {step} s between heart rates is unknown"
        )
    channel = Channel("hr", "misc", "1/min")
    info = StreamInfo(
        "polar.hr", Fraction(1, step), (channel,), participant=participant, site="chest"
    )
    return Recording(
        {info.name: (Block(info, 0, 0.0, values[:, None]),)}, {}, (), about
    )


def _date(params: dict[str, str]) -> dict[str, str]:
    """Return a note on the local date, whose zone the file does not state."""
    try:
        text = f"{params['Date']} {params['StartTime']}"
        begin = datetime.strptime(text, "%Y%m%d %H:%M:%S.%f")
    except (KeyError, ValueError):
        return {}
    return {"warnings": f"begun on {begin:%Y-%m-%d %H:%M:%S}, in an unknown time zone"}
