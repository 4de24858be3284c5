"""Simulated participants with all devices, for training and for test."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from experiments.simulated.cohort import SimulatedCohort, SimulatedParticipant
from experiments.simulated.missing_sensors import MissingSensors
from physio.evaluation.config import read

VARIABLE: Final = "PHYSIO_SIMULATED"
"""Environment variable with the folder that stores simulated participants."""

_FILE: Final = Path(__file__).parents[1] / "simulated" / "missing-sensors.toml"


def store() -> Path:
    """Return the folder of stored participants, as `VARIABLE` or in a temporary one."""
    named = os.environ.get(VARIABLE, "")
    return Path(named or Path(tempfile.gettempdir()) / "physio-affect-simulated")


def recipe() -> MissingSensors:
    """Return the settings of the participants, those of the shipped weights."""
    settings = read(_FILE)
    if not isinstance(settings, MissingSensors):
        raise TypeError(f"{_FILE.name} is no file of missing sensors")
    return settings


def training(n: int) -> Iterator[SimulatedParticipant]:
    """Yield the first training participants (5 s each to compute, then read)."""
    return _participants(recipe().affect.first, n)


def tested(n: int) -> Iterator[SimulatedParticipant]:
    """Yield the first test participants, none of which trains."""
    return _participants(recipe().affect.first_tested, n)


def _participants(first: int, n: int) -> Iterator[SimulatedParticipant]:
    a = recipe().affect
    crowd = SimulatedCohort(a.devices, a.chains, a.seconds, 0.0, store())
    yield from (crowd.participant(first + i) for i in range(n))
