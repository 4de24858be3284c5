"""EDF and BDF files of regular streams, through edfio."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, Channel
from physio.core.missing import MissingReason, missing_reason

Annotation = tuple[float, float, str]
"""Onset (s after the first sample), duration (s) and text."""

_LONGEST_RECORD: Final = 60  # s
_LABEL: Final = 16  # characters of a channel's name
_TEXTS: Final = {MissingReason.NO_SIGNAL: "BAD_ACQ_SKIP"}


def write_edf(
    path: Path,
    blocks: Sequence[Block],
    annotations: Iterable[Annotation] = (),
    began: datetime | None = None,
) -> None:
    """Write a stream as EDF (16 bits), or as BDF (24 bits) by the path's suffix.

    Missing samples are 0 and annotated: ``BAD_ACQ_SKIP`` where they were lost, ``BAD_``
    and the reason otherwise, with the channel where others are present. Names of
    channels are cut to 16 characters of ASCII.

    Parameters
    ----------
    path
        The file, ``.edf`` or ``.bdf``.
    blocks
        Blocks of a stream, at least a sample.
    annotations
        Events of the recording.
    began
        Date of the first sample, if it is known.

    Raises
    ------
    ValueError
        If edfio is not installed.
    """
    try:
        import edfio
    except ImportError:
        raise ValueError("EDF needs edfio: pip install 'physio-affect[bids]'") from None
    is_bdf = path.suffix.lower() == ".bdf"
    info, data = blocks[0].info, _rows(blocks)
    names = _labels(info.names)
    record, rate = _record(info.rate)
    n = len(data)
    padded = ceil(n / round(rate * record)) * round(rate * record)
    signal: Any = edfio.BdfSignal if is_bdf else edfio.EdfSignal
    writer: Any = edfio.Bdf if is_bdf else edfio.Edf
    top = 2**23 - 1 if is_bdf else 2**15 - 1
    signals = [
        signal(
            np.pad(np.nan_to_num(data[:, i]), (0, padded - n), "edge"),
            float(rate),
            label=names[i],
            physical_dimension=_dimension(channel),
            physical_range=_range(data[:, i]),
            digital_range=(-top, top),
        )
        for i, channel in enumerate(info.channels)
    ]
    spans = [*annotations, *_missing(data, names, float(info.rate))]
    if padded > n:
        seconds = float(info.rate)
        spans.append((n / seconds, (padded - n) / seconds, "BAD_ACQ_SKIP"))
    about: dict[str, Any] = {}
    if began is not None:
        about["recording"] = edfio.Recording(startdate=date(*began.timetuple()[:3]))
        about["starttime"] = began.time()
    file = writer(
        signals,
        data_record_duration=float(record),
        annotations=[
            edfio.EdfAnnotation(at, length or None, text) for at, length, text in spans
        ],
        **about,
    )
    file.write(path)


def _rows(blocks: Sequence[Block]) -> Array:
    """Return all samples of a stream, lost ones as NaN."""
    filled = [b for b in blocks if len(b)]
    start = filled[0].start
    shape = (filled[-1].stop - start, len(filled[0].info.channels))
    data = np.full(shape, MissingReason.NO_SIGNAL.nan)
    for block in filled:
        data[block.start - start : block.stop - start] = block.data
    return data


def _record(rate: Fraction) -> tuple[Fraction, Fraction]:
    """Return the duration of a record (s), and the rate with whole samples in it."""
    if rate.denominator <= _LONGEST_RECORD:
        return Fraction(rate.denominator), rate
    samples = max(1, int(rate))
    seconds = Fraction(f"{float(samples / rate):.6f}")
    return seconds, samples / seconds


def _range(column: Array) -> tuple[float, float]:
    """Return the lowest and the highest value, which must differ."""
    values = np.nan_to_num(column)
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 1.0, low + 1.0)


def _dimension(channel: Channel) -> str:
    text = "" if channel.unit == "1" else channel.unit
    return text.encode("ascii", "replace").decode()[:8]


def _labels(names: Sequence[str]) -> list[str]:
    """Return a distinct label of 16 characters of ASCII for each name."""
    labels: list[str] = []
    for name in names:
        plain = re.sub("[^ -~]", "?", name)[:_LABEL] or "channel"
        text, number = plain, 1
        while text in labels:
            number += 1
            text = f"{plain[: _LABEL - len(str(number))]}{number}"
        labels.append(text)
    return labels


def _missing(data: Array, names: Sequence[str], rate: float) -> list[Annotation]:
    """Return an annotation for each run of missing samples, of all channels or one."""
    codes = missing_reason(data)
    is_lost = (codes == MissingReason.NO_SIGNAL).all(axis=1)
    spans = _runs(np.where(is_lost, MissingReason.NO_SIGNAL, 0), rate, "")
    for i, name in enumerate(names):
        spans += _runs(np.where(is_lost, 0, codes[:, i]), rate, f"@@{name}")
    return spans


def _runs(codes: Array, rate: float, channel: str) -> list[Annotation]:
    """Return an annotation for each run of one reason."""
    edges = np.flatnonzero(np.diff(codes, prepend=0, append=0)).tolist()
    spans = []
    for a, b in pairwise(edges):
        if codes[a]:
            reason = MissingReason(int(codes[a]))
            text = _TEXTS.get(reason, f"BAD_{reason.words.replace(' ', '_')}")
            spans.append((a / rate, (b - a) / rate, f"{text}{channel}"))
    return spans
