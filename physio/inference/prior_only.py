"""Notes on weights that say nothing but the prior."""

from collections.abc import Sequence

from physio.core.affect import scale_places
from physio.inference.expert import Expert
from physio.models import model_card
from physio.models.error_bars import ClassReliability, ErrorBars


def prior_only_notes(experts: Sequence[Expert]) -> list[str]:
    """Return a sentence on each expert that is no better than the mean rating."""
    notes = []
    for expert in experts:
        stored = model_card.load(expert.weights)
        bars = ErrorBars.restore(stored.arrays)
        odds = ClassReliability.restore(stored.arrays)
        targets = stored.card.targets
        names = [
            name
            for name, k in zip(targets, scale_places(targets), strict=True)
            if bars is not None and bars.prior_only[k]
        ]
        if odds is not None and odds.prior_only:
            names.append("conditions")
        if names:
            notes.append(
                f"the weights {expert.name!r} are prior only for "
                f"{' and '.join(names)}: on held-out participants they were not better "
                "than the mean of the training data, which is all that they show"
            )
    return notes
