"""Lookup of a stream's columns by kind of channel."""

from physio.core.block import StreamInfo


def columns(info: StreamInfo, *kinds: str) -> tuple[int, ...]:
    """Return the columns of all channels of these kinds.

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    matches = tuple(i for i, c in enumerate(info.channels) if c.kind in kinds)
    if not matches:
        has = ", ".join(f"{c.name} ({c.kind})" for c in info.channels) or "nothing"
        raise ValueError(
            f"{info.name!r} has no channel of kind {' or '.join(kinds)}; it has {has}"
        )
    return matches


def column(info: StreamInfo, *kinds: str) -> int:
    """Return the column of the only channel of these kinds.

    Raises
    ------
    ValueError
        If there is no such channel, or more than one.
    """
    matches = columns(info, *kinds)
    if len(matches) > 1:
        names = ", ".join(info.channels[i].name for i in matches)
        raise ValueError(
            f"{info.name!r} has {len(matches)} channels of kind {' or '.join(kinds)} "
            f"({names}): select the one to read"
        )
    return matches[0]
