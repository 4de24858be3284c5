"""Results of an experiment that classifies no rows and predicts no number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

_LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "scikit-learn", "torch")


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of an experiment, participant by participant.

    Parameters
    ----------
    dataset, protocol
        Names of the data set, and of how participants are held out.
    rows
        Figures of each model and metric: see `physio.evaluation.statistics.summary`.
    paired
        Differences between models: see
        `physio.evaluation.statistics.paired_differences`.
    notes
        Remarks for the reader of the figures, a sentence each.
    details
        Further figures, which JSON can hold.
    config
        Configuration of the experiment.
    seconds
        Duration (s).
    """

    dataset: str
    protocol: str
    rows: tuple[dict[str, Any], ...]
    paired: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    config: Any = None
    seconds: float = 0.0

    @property
    def participants(self) -> list[str]:
        """Codes of the participants who have a figure."""
        people = (r.get("per_participant", {}) for r in self.rows)
        return list(dict.fromkeys(str(p) for row in people for p in row))

    @property
    def leaks(self) -> bool:
        """False: such an experiment states its own controls in its notes."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "participants": self.participants,
            "rows": list(self.rows),
            "paired": list(self.paired),
            "notes": list(self.notes),
            "details": dict(self.details),
            "config": self.config,
            "versions": {k: version(k) for k in _LIBRARIES},
            "seconds": round(self.seconds, 1),
        }
