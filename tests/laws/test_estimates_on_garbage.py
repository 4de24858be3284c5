"""Estimates under harmless changes of a signal, and where a signal is none."""

from functools import cache

import pytest

from experiments.robustness.evaluate import Participant, reached, rows_of
from experiments.robustness.perturbations import Demand, perturbations
from experiments.robustness.recordings import BAND, HEADSET, simulated

GROUPS = {
    "headset": ((HEADSET,), 120.0, (("eeg",),)),
    "band": ((BAND,), 300.0, (("gsr",), ("bio",), ("gsr", "bio", "misc"))),
}


@cache
def participant(name: str) -> Participant:
    devices, seconds, _ = GROUPS[name]
    one, other = (simulated(s, devices, seconds) for s in (9000, 9001))
    return Participant(one, other, 50.0)


@pytest.mark.parametrize(
    ("name", "group"), [(n, g) for n, (_, _, groups) in GROUPS.items() for g in groups]
)
def test_the_same_stays_and_what_is_no_signal_goes(
    name: str, group: tuple[str, ...]
) -> None:
    demands = {Demand.SAME, Demand.ABSENT} if len(group) == 1 else {Demand.ABSENT}
    cells = [p for p in perturbations(group[0]) if p.demand in demands]
    missed = {
        row["perturbation"]: reached(row)
        for row in rows_of(participant(name), group, cells)
    }
    assert len(missed) == len(cells)
    assert not any(missed.values()), missed
