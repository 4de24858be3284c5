"""Probabilities of conditions, as columns of the estimates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from physio.core.block import Channel

if TYPE_CHECKING:
    from physio.inference.expert import BoundExpert

CONDITION: Final = "condition."
"""Prefix of the columns of a condition's probability: ``condition.stress``."""


def condition_channels(experts: Sequence["BoundExpert"], tick: float) -> list[Channel]:
    """Return the columns of the conditions of all experts, in order.

    Where two experts estimate conditions of the same name, those of the later one have
    its name in front: ``eeg-load.condition.rest``. ``tick`` is the duration of a tick
    (s).
    """
    channels: list[Channel] = []
    for expert in experts:
        for condition in expert.model.conditions:
            name = f"{CONDITION}{condition}"
            if any(c.name == name for c in channels):
                name = f"{expert.name}.{name}"
            delay = expert.delay * tick
            memory = expert.features.longest
            channels.append(Channel(name, delay=delay, memory=memory))
    return channels
