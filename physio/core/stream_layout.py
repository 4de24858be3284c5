"""Places of samples and reasons of missing values, for files that hold numbers only."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block
from physio.core.missing import MissingReason, missing_reason
from physio.core.stream_codec import from_dict, to_dict

_REASONS: Final = {reason.words: reason for reason in MissingReason}


def describe_stream(
    blocks: Sequence[Block], *, every_value: bool = False
) -> dict[str, Any]:
    """Return the description of a stream beside a table of its rows, for JSON.

    Parameters
    ----------
    blocks
        All blocks of the stream, in order.
    every_value
        Whether all missing values are listed, for tables that have no missing value.

    Returns
    -------
    dict
        ``info``; ``blocks`` with the first row, the number of rows and the time of row
        0 of each; and ``missing``: runs of values with a reason other than *no signal*,
        as channel, first row, end, reason.
    """
    return {
        "info": to_dict(blocks[0].info),
        "blocks": [[b.start, len(b), b.t0] for b in blocks],
        "missing": [
            r
            for b in blocks
            for r in _missing_runs(b, 0 if every_value else MissingReason.NO_SIGNAL)
        ],
    }


def restore_stream(table: Mapping[str, Any], values: Array) -> tuple[Block, ...]:
    """Return the blocks of a stream from its description and its rows.

    Parameters
    ----------
    table
        The description: see `describe_stream`.
    values
        All rows from the first sample to the last, lost ones included, shape (n,
        channels).

    Raises
    ------
    KeyError, TypeError
        If the description is damaged.
    ValueError
        If it is of another table: the message has both numbers of rows.
    """
    info = from_dict(table["info"])
    spans = [(int(start), int(n), float(t0)) for start, n, t0 in table["blocks"]]
    first = next((start for start, n, _ in spans if n), 0)
    last = max((start + n for start, n, _ in spans if n), default=first)
    if any(n < 0 or start < 0 for start, n, _ in spans) or last - first != len(values):
        raise ValueError(f"has {len(values)} rows; its description has {last - first}")
    values = np.array(values, np.float64, order="C").reshape(-1, len(info.channels))
    values[missing_reason(values) == MissingReason.NO_SIGNAL] = (
        MissingReason.NO_SIGNAL.nan
    )
    for channel, start, stop, reason in table.get("missing", ()):
        rows = slice(int(start) - first, int(stop) - first)
        values[rows, int(channel)] = _REASONS[reason].nan
    return tuple(
        Block(info, start, t0, values[start - first : start - first + n].copy())
        if n
        else Block(info, start, t0, np.empty((0, len(info.channels))))
        for start, n, t0 in spans
    )


def _missing_runs(block: Block, usual: int) -> list[list[Any]]:
    """Return the runs of missing values of a block, without the usual reason."""
    codes = missing_reason(block.data)
    codes[codes == usual] = 0
    runs = []
    for channel in np.flatnonzero(codes.any(axis=0)):
        column = codes[:, channel]
        edges = np.flatnonzero(np.diff(column, prepend=0, append=0))
        for a, b in pairwise(edges.tolist()):
            if column[a]:
                reason = MissingReason(column[a]).words
                runs.append([int(channel), block.start + a, block.start + b, reason])
    return runs
