"""What must stand beside numbers wherever participants see them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from physio.core.block import Array, Block, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason


class Label(NamedTuple):
    """Words that cannot be missed, and what they mean."""

    badge: str
    meaning: str


LABELS: Final = {
    Origin.SIMULATED: Label(
        "SIMULATED", "the signals are computed: nobody was measured here"
    ),
    Origin.DEMO: Label(
        "DEMO WEIGHTS",
        "trained on simulated participants: of a real one they know nothing",
    ),
}
"""What is said of numbers that do not come from measurements alone."""

DIMENSIONS: Final = ("valence", "arousal", "dominance")
"""What is estimated, in the order in which participants see it."""

ENDS: Final = {
    "valence": ("unpleasant", "pleasant"),
    "arousal": ("calm", "excited"),
    "dominance": ("controlled", "in control"),
}
"""What the ends of each scale, -1 and 1, are called."""

MEANING: Final = (
    "How the participant would rate themselves now, -1 to +1, ±1 sd: an estimated "
    "self-report, not a measured emotion."
)
"""What the numbers are."""

COLOURS: Final = {"valence": "#0072B2", "arousal": "#D55E00", "dominance": "#009E73"}
"""A colour each, told apart by participants who see colours differently (Okabe and Ito)."""


def labels(infos: Iterable[StreamInfo | None]) -> list[Label]:
    """Return what must be said of what these streams hold."""
    found = {info.origin for info in infos if info is not None}
    return [label for origin, label in LABELS.items() if origin in found]


def dimensions(info: StreamInfo) -> tuple[str, ...]:
    """Return which estimates a stream holds: columns with a ``<name>.sd`` beside.

    What single experts say (``<expert>.<name>``) is left out.
    """
    found = [n for n in info.names if f"{n}.sd" in info.names and "." not in n]
    known = [n for n in DIMENSIONS if n in found]
    return (*known, *(n for n in found if n not in known))


def strongest(block: Block, name: str, most: int = 3) -> str:
    """Return in words what moved the newest estimate of a dimension most."""
    front = f"{name}.contribution."
    moved = {
        n.removeprefix(front): float(block.column(n)[-1])
        for n in block.info.names
        if n.startswith(front)
    }
    known = sorted((abs(v), k) for k, v in moved.items() if abs(v) >= 0.01)
    return ", ".join(f"{k} {moved[k]:+.2f}" for _, k in known[::-1][:most])


def reasons(block: Block, name: str) -> Array:
    """Return the `MissingReason` of each value of a channel, shape (n,), 0 where it is there.

    Where a stage gives reasons in a column ``<name>.missing`` of its own, these count.
    """
    found = missing_reason(block.column(name))
    if f"{name}.missing" in block.info.names:
        told = block.column(f"{name}.missing")
        found[told > 0] = told[told > 0].astype(found.dtype)
    return found.astype(float)


def words(code: float) -> str:
    """Return a reason as participants read it."""
    return MissingReason(int(code)).words
