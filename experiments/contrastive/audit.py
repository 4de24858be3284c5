"""Check that no sample of tested people is among those of the pre-training."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.contrastive.minutes import Minutes
from physio.core.block import Array

_RUN: Final = 40  # samples of skin conductance: 10 s


class Contamination(NamedTuple):
    """Names and samples that pre-training and tested people have in common.

    ``laboratories`` and ``people``: names in both; ``runs``: number of 10-s stretches
    of skin conductance of the pre-training that occur, sample by sample, in tested
    minutes.
    """

    laboratories: tuple[str, ...]
    people: tuple[str, ...]
    runs: int

    @property
    def clean(self) -> bool:
        """True if nothing is in common."""
        return not (self.laboratories or self.people or self.runs)


def contamination(unlabelled: Minutes, tested: Minutes) -> Contamination:
    """Return what the pre-training has in common with the tested people.

    Stretches are compared by their differences, which the reference of a person does
    not change; constant ones do not count. One of 20 s is found wherever it lies.
    """
    shared = set(_runs(unlabelled, _RUN)) & set(_runs(tested, 1))
    return Contamination(
        _common(unlabelled.laboratory, tested.laboratory),
        _common(unlabelled.person, tested.person),
        len(shared),
    )


def refused(shared: Contamination, laboratory: str) -> None:
    """Raise an error if a tested laboratory is in the pre-training.

    Raises
    ------
    ValueError
        If a name or a stretch of samples is in both.
    """
    if not shared.clean:
        names = ", ".join((*shared.laboratories, *shared.people)) or "no name"
        raise ValueError(
            f"the pre-training contains what is tested in {laboratory}: {names}, and "
            f"{shared.runs} equal stretches of skin conductance; leave them out"
        )


def _common(a: Any, b: Any) -> tuple[str, ...]:
    return tuple(np.intersect1d(a, b).tolist())


def _runs(minutes: Minutes, step: int) -> Iterator[bytes]:
    """Yield stretches of raw conductance, every ``step`` samples of each minute."""
    for x in minutes.signals["skin"][:, 0]:
        moved = _rounded(np.diff(x))
        for at in range(0, len(moved) - _RUN + 1, step):
            run = moved[at : at + _RUN]
            if np.count_nonzero(run) > _RUN // 4:
                yield run.tobytes()


def _rounded(x: Array) -> npt.NDArray[np.int32]:
    return np.round(np.nan_to_num(x) * 1e4).astype(np.int32)
