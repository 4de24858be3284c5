"""MATLAB files that LabChart and AcqKnowledge export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.even_channels import EvenChannel, recording_of
from physio.io.matlab import load

Variables = Mapping[str, npt.NDArray[Any]]


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording that LabChart or AcqKnowledge exported for MATLAB.

    Streams ``labchart.<kind>`` or ``biopac.<kind>`` by the names of the channels, each
    at its rate; comments of LabChart are events ``labchart.markers``. Records of
    LabChart follow each other, as far as their times tell, on one session clock.

    Parameters
    ----------
    path
        The file, ``.mat`` (version 5 to 7.2).
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no export of these programs.
    """
    path = existing_file(path)
    variables = load(path)
    try:
        if {"datastart", "dataend", "samplerate", "data"} <= variables.keys():
            channels, marks = _labchart(variables)
            device, source = "labchart", "LabChart"
        elif {"data", "isi", "labels"} <= variables.keys():
            channels, marks = _acqknowledge(variables), []
            device, source = "biopac", "AcqKnowledge, BIOPAC"
        else:
            raise ValueError(
                "it has neither the variables of LabChart (data, datastart, dataend, "
                "samplerate) nor those of AcqKnowledge (data, isi, labels); save a "
                "table with a signal in each column instead"
            )
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return recording_of(device, channels, marks, source=source, participant=participant)


def _texts(variables: Variables, name: str) -> list[str]:
    """Return the rows of a matrix of characters, or the texts of a cell array."""
    if name in variables:
        return [str(t).strip() for t in np.ravel(variables[name])]
    parts = [k for k in variables if k.startswith(f"{name}/")]
    parts.sort(key=lambda k: int(k.rpartition("/")[2]))
    return [str(np.ravel(variables[k])[0]).strip() for k in parts]


def _labchart(
    variables: Variables,
) -> tuple[list[EvenChannel], list[tuple[float, str]]]:
    data = np.ravel(variables["data"]).astype(np.float64)
    first = np.atleast_2d(variables["datastart"]).astype(int)
    last = np.atleast_2d(variables["dataend"]).astype(int)
    rates = np.atleast_2d(variables["samplerate"]).astype(float)
    titles, units = _texts(variables, "titles"), _texts(variables, "unittext")
    n, records = first.shape
    which = np.atleast_2d(variables.get("unittextmap", np.ones((n, records))))
    starts = _starts(variables, last - first + 1, rates)
    channels = []
    for record in range(records):
        for i in range(n):
            a, b = int(first[i, record]), int(last[i, record])
            if a < 1 or b < a or b > len(data) or rates[i, record] <= 0:
                continue
            unit = int(which[i, record]) if record < which.shape[1] else 0
            channels.append(
                EvenChannel(
                    titles[i] if i < len(titles) else f"channel {i + 1}",
                    units[unit - 1] if 0 < unit <= len(units) else "",
                    float(rates[i, record]),
                    data[a - 1 : b].copy(),
                    float(starts[record]),
                )
            )
    if not channels:
        raise ValueError("no channel of it holds samples")
    return channels, _comments(variables, starts)


def _starts(
    variables: Variables, lengths: npt.NDArray[Any], rates: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Return the start of each record (s), from its date, else end to end."""
    records = lengths.shape[1]
    if "blocktimes" in variables:
        days = np.ravel(variables["blocktimes"]).astype(float)
        if len(days) == records:
            return (days - days[0]) * 86_400.0
    seconds = np.where(rates > 0, lengths / np.where(rates > 0, rates, 1), 0)
    return np.concatenate([[0.0], np.cumsum(seconds.max(axis=0))])[:records]


def _comments(
    variables: Variables, starts: npt.NDArray[np.float64]
) -> list[tuple[float, str]]:
    """Return time and text of each comment: by record, tick and number of its text."""
    if "com" not in variables or "tickrate" not in variables:
        return []
    rows = np.atleast_2d(variables["com"]).astype(float)
    ticks = np.ravel(variables["tickrate"]).astype(float)
    texts = _texts(variables, "comtext")
    marks = []
    for row in rows if rows.shape[1] >= 5 else ():
        record, text = int(row[1]) - 1, int(row[4]) - 1
        if 0 <= record < len(starts) and 0 <= text < len(texts):
            at = starts[record] + row[2] / ticks[min(record, len(ticks) - 1)]
            marks.append((float(at), texts[text]))
    return marks


def _acqknowledge(variables: Variables) -> list[EvenChannel]:
    data = np.atleast_2d(variables["data"]).astype(np.float64)
    labels, units = _texts(variables, "labels"), _texts(variables, "units")
    factor = {"ms": 1e-3, "s": 1.0}.get("".join(_texts(variables, "isi_units")), 1e-3)
    interval = float(np.ravel(variables["isi"])[0]) * factor
    if data.shape[1] != len(labels) and data.shape[0] == len(labels):
        data = data.T
    if data.shape[1] != len(labels) or interval <= 0:
        raise ValueError("its labels do not match its data")
    return [
        EvenChannel(label, units[i] if i < len(units) else "", 1 / interval, data[:, i])
        for i, label in enumerate(labels)
    ]
