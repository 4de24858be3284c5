"""Which columns of a stream a feature reads."""

from physio.core.block import StreamInfo


def columns(info: StreamInfo, *kinds: str) -> tuple[int, ...]:
    """Return where the channels of these kinds are.

    Raises
    ------
    ValueError
        Where there is none.
    """
    found = tuple(i for i, c in enumerate(info.channels) if c.kind in kinds)
    if not found:
        has = ", ".join(f"{c.name} ({c.kind})" for c in info.channels) or "nothing"
        raise ValueError(
            f"{info.name!r} has no channel of kind {' or '.join(kinds)}; it has {has}"
        )
    return found


def column(info: StreamInfo, *kinds: str) -> int:
    """Return where the one channel of these kinds is.

    Raises
    ------
    ValueError
        Where there is none, or several.
    """
    found = columns(info, *kinds)
    if len(found) > 1:
        names = ", ".join(info.channels[i].name for i in found)
        raise ValueError(
            f"{info.name!r} has {len(found)} channels of kind {' or '.join(kinds)} "
            f"({names}): pick the one to read"
        )
    return found[0]
