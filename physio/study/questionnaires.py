"""Questionnaires as data: items, scales, scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import physio.assets
from physio import config

HOME: Final = Path(physio.assets.__file__).parent / "questionnaires"


@dataclass(frozen=True)
class Scale:
    """A score over items.

    Parameters
    ----------
    items
        Items that are summed.
    reverse
        Items with reversed scoring.
    factor
        Factor of the sum.
    """

    items: tuple[str, ...]
    reverse: tuple[str, ...] = ()
    factor: float = 1.0


@dataclass(frozen=True)
class Questionnaire:
    """A questionnaire.

    Parameters
    ----------
    name, title, citation
        Identifier, full name and reference.
    low, high
        Lowest and highest response of all items.
    anchors
        Labels of both ends of the response scale.
    items
        Wording of the items by name.
    scales
        Scales by name.
    """

    name: str
    title: str
    citation: str
    low: int
    high: int
    anchors: tuple[str, str]
    items: Mapping[str, str]
    scales: Mapping[str, Scale]

    def check(self, answers: Mapping[str, float]) -> None:
        """Check that answers are complete and within the response range.

        Raises
        ------
        ValueError
            If an answer is missing or out of range; the message names item, value and
            range.
        """
        if missing := [item for item in self.items if item not in answers]:
            raise ValueError(
                f"the answers to {self.name!r} lack the item {missing[0]!r}: it takes "
                f"{self.low} to {self.high}"
            )
        for item, value in answers.items():
            if item not in self.items:
                raise ValueError(
                    f"{self.name!r} has no item {item!r}; it has "
                    f"{', '.join(self.items)}"
                )
            if not self.low <= value <= self.high:
                raise ValueError(
                    f"{self.name}.{item} = {value:g} is not on the scale from "
                    f"{self.low} to {self.high}"
                )

    def scores(self, answers: Mapping[str, float]) -> dict[str, float]:
        """Return the scores of all scales; raises the errors of `check`."""
        self.check(answers)
        turned = self.low + self.high
        return {
            name: scale.factor
            * sum(
                turned - answers[item] if item in scale.reverse else answers[item]
                for item in scale.items
            )
            for name, scale in self.scales.items()
        }


@cache
def load(name: str) -> Questionnaire:
    """Return a shipped questionnaire.

    Raises
    ------
    ValueError
        If no questionnaire has this name, or its file is incomplete.
    """
    path = HOME / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in HOME.glob("*.toml")))
        raise ValueError(f"there is no questionnaire {name!r}; there is {known}")
    tables: dict[str, Any] = config.read(path)
    items = tables["items"]
    scales = {
        key: config.make(
            Scale, config.build(parts, path.name), f"{path.name}: scales.{key}"
        )
        for key, parts in tables["scales"].items()
    }
    for key, scale in scales.items():
        if unknown := [i for i in (*scale.items, *scale.reverse) if i not in items]:
            raise ValueError(f"{path.name}: scales.{key} names no item {unknown[0]!r}")
    head = tables["questionnaire"]
    return Questionnaire(
        name,
        head["title"],
        head["citation"],
        head["low"],
        head["high"],
        (head["anchors"][0], head["anchors"][1]),
        items,
        scales,
    )
