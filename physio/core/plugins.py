"""Extensions that installed packages announce by entry points."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Final, NamedTuple

GROUPS: Final = {
    "physio.devices": "device",
    "physio.datasets": "data set",
    "physio.stages": "stage",
    "physio.models": "model",
    "physio.sinks": "sink",
}
"""Entry point groups, and the kind of extension that each announces."""


class Plugin(NamedTuple):
    """An extension: its name, import path and distribution; nothing is imported.

    Its package runs only after ``--trust PACKAGE``.
    """

    group: str
    name: str
    use: str
    distribution: str

    @property
    def package(self) -> str:
        """Top-level package or module that ``--trust`` takes."""
        return self.use.partition(":")[0].split(".")[0]

    def __str__(self) -> str:
        return (
            f"{GROUPS[self.group]} {self.name} ({self.distribution}): "
            f'use = "{self.use}" with --trust {self.package}'
        )


def installed(*groups: str) -> Iterator[Plugin]:
    """Yield the extensions of some groups, by default of all, sorted by name."""
    for group in groups or GROUPS:
        for entry in sorted(entry_points(group=group), key=lambda e: e.name):
            distribution = entry.dist.name if entry.dist is not None else "unknown"
            yield Plugin(group, entry.name, entry.value, distribution)
