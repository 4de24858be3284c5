"""How a wristband is worn, from what its own sensors say."""

from collections.abc import Iterable, Mapping
from typing import Final

from physio.core.block import StreamInfo
from physio.core.stage import Fork, Stage
from physio.quality.wristband import WearDetection

_ENDS: Final = {
    "likeness": ("template_sqi", "bio"),
    "steady": ("stability", "gsr"),
    "warmth": ("level", "temperature"),
    "movement": ("activity", "misc"),
}
"""What `WearDetection` reads, in the order of its settings: the end of the column's
name, and the kind of its sensor.
"""


def wear(chains: Iterable[StreamInfo], sources: Mapping[str, StreamInfo]) -> Stage:
    """Return what judges how the first wristband is worn; nothing where there is none.

    A wristband is a device that measures a pulse, and skin conductance or temperature
    beside. Its movement counts where it measures that too.

    Parameters
    ----------
    chains
        The streams of features that are joined, under the names of their chains.
    sources
        What each chain reads.
    """
    bands: dict[str, dict[str, str]] = {}
    for info in chains:
        source = sources[info.name]
        own = bands.setdefault(source.name.partition(".")[0], {})
        for setting, (end, kind) in _ENDS.items():
            if end in info.names and any(c.kind == kind for c in source.channels):
                own.setdefault(setting, f"{info.name}.{end}")
    for own in bands.values():
        if "likeness" in own and {"steady", "warmth"} & set(own):
            likeness, steady, warmth, movement = (own.get(k, "") for k in _ENDS)
            return WearDetection(likeness, steady, warmth, movement)
    return Fork()
