"""Serialization of a stream's description: one dictionary for all files and messages.

The header of an XDF stream, the dashboard's messages, the metadata of a Parquet table
and the description of an LSL outlet all hold this dictionary as JSON, so that none of
them can lose a field of `StreamInfo` or `Channel`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from physio.core.block import Channel, Origin, StreamInfo


def to_dict(info: StreamInfo) -> dict[str, Any]:
    """Return the description of a stream as values that JSON can hold.

    The keys are the fields of `StreamInfo`. The rate (Hz) is written as an exact
    fraction, the origin as its word, each channel as a dictionary of the fields of
    `Channel`.
    """
    table = {field: getattr(info, field) for field in StreamInfo.__dataclass_fields__}
    table["rate"] = str(info.rate)
    table["origin"] = info.origin.value
    table["channels"] = [_channel(channel) for channel in info.channels]
    return table


def _channel(channel: Channel) -> dict[str, Any]:
    """Return the fields of a channel, without an empty reference."""
    table = asdict(channel)
    if not channel.reference:
        del table["reference"]
    return table


def from_dict(table: Mapping[str, Any]) -> StreamInfo:
    """Return the stream that `to_dict` described.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a field is missing, unknown or out of range.
    """
    fields = dict(table)
    fields["rate"] = Fraction(fields["rate"])
    fields["origin"] = Origin(fields["origin"])
    fields["channels"] = tuple(Channel(**channel) for channel in fields["channels"])
    return StreamInfo(**fields)
