"""Data set of simulated participants, for documentation, tests and first steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from devices.simulated import Wristband
from physio.core.block import Block
from physio.core.events import Events, Item
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events

CONDITIONS: Final = ("baseline", "stress")
"""Conditions of each trial; every second participant has them in reverse order."""

_POLL: Final = 4.0  # s of signal that are simulated at once


@dataclass(frozen=True, kw_only=True)
class FakeDataset:
    """Simulated participants with a wristband, at rest and under stress.

    Each trial is a recording of EDA, pulse, acceleration and skin temperature, with a
    rating after each condition. It is simulated when it is loaded (0.2 s), always the
    same for the same settings, and needs no files.

    Parameters
    ----------
    n_participants
        Number of participants, at least 1.
    n_trials
        Number of trials of each participant, at least 1.
    seed
        Seed of all participants, at least 0.
    seconds
        Duration of each condition (s).
    root
        Not used: there are no files. It is accepted so that
        ``physio extract physio.testing:FakeDataset . OUT`` works.
    """

    n_participants: int = 4
    n_trials: int = 1
    seed: int = 1
    seconds: float = 60.0
    root: Path | None = field(default=None, repr=False, compare=False)

    name: ClassVar[str] = "FakeDataset"
    licence: ClassVar[str] = "none: simulated"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", None)
        if self.n_participants < 1 or self.n_trials < 1 or self.seed < 0:
            raise ValueError(
                "n_participants and n_trials must be at least 1 and seed at least 0, "
                f"not {self.n_participants}, {self.n_trials} and {self.seed}"
            )
        if not 0 < self.seconds < np.inf:
            raise ValueError(f"seconds must be above 0, not {self.seconds}")

    @property
    def citation(self) -> str:
        """Settings of the simulation, as there is no publication to cite."""
        return f"simulated by {self!r}"

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials, sorted."""
        return tuple(
            Trial(f"S{participant}", "", str(trial) if self.n_trials > 1 else "")
            for participant in range(1, self.n_participants + 1)
            for trial in range(1, self.n_trials + 1)
        )

    def load(self, trial: Trial) -> Recording:
        """Return the simulated signals of a trial, with conditions and ratings.

        Raises
        ------
        KeyError
            If there is no such trial.
        """
        if trial not in self.trials():
            raise KeyError(f"FakeDataset has no {trial}; it has {self.trials()}")
        number = int(trial.subject[1:])
        conditions = CONDITIONS if number % 2 else CONDITIONS[::-1]
        duration = len(CONDITIONS) * self.seconds
        begin = (int(trial.trial or 1) - 1) * duration
        clock = FastClock(0.0)
        band = Wristband(
            name="band",
            participant=trial.subject,
            clock=clock,
            seed=1000 * self.seed + number,
            preset="exaggerated",
            seconds=begin + duration,
            steps=tuple((name, self.seconds) for name in conditions),
        )
        items: list[Item] = []
        with band:
            while not band.ended:
                clock.wait(_POLL)
                items += band.read()
        streams: dict[str, list[Block]] = {}
        for item in items:
            if isinstance(item, Block) and item.info.name != "band.truth":
                streams.setdefault(item.info.name, []).append(item)
        return Recording(
            {name: (_part(blocks, begin),) for name, blocks in streams.items()},
            self._events(items, conditions, trial.subject, begin),
            metadata={
                "source": f"FakeDataset {trial.subject} {trial.trial}".strip(),
                "citation": self.citation,
                "licence": self.licence,
                "participant": trial.subject,
            },
        )

    def _events(
        self,
        items: list[Item],
        conditions: tuple[str, ...],
        participant: str,
        begin: float,
    ) -> Mapping[str, Events]:
        """Return the conditions, each rated on the 1 to 9 scale at its end."""
        ratings = {
            round(float(time), 3): dict(zip(events.info.names, row, strict=True))
            for events in items
            if isinstance(events, Events) and events.info.name == "band.ratings"
            for time, row in zip(events.times, 5 + 4 * events.data, strict=True)
        }
        spans = []
        for i, name in enumerate(conditions):
            end = begin + (i + 1) * self.seconds
            rating = ratings[min(ratings, key=lambda time: abs(time - end))]
            spans.append(
                ConditionSpan(
                    name,
                    end - begin - self.seconds,
                    end - begin,
                    {k: float(v) for k, v in rating.items()},
                )
            )
        duration = len(conditions) * self.seconds
        return condition_events(spans, 1, 9, participant=participant, until=duration)


def _part(blocks: list[Block], begin: float) -> Block:
    """Return the samples from ``begin`` on (s) as one block that begins at 0 s."""
    info = blocks[0].info
    data = np.concatenate([block.data for block in blocks])
    first = round(begin * float(info.rate))
    return Block(info, 0, 0.0, np.ascontiguousarray(data[first:]))
