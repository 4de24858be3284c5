"""Questionnaires as data: items, scales, scores."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import physio.assets
from physio import config

HOME: Final = Path(physio.assets.__file__).parent / "questionnaires"

ResponseKind = Literal["likert", "visual analogue", "sam"]
"""Kinds of response scales: buttons, a line, or figures with buttons below."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
SELF: Final = "self"
"""Rater of a questionnaire that participants answer about themselves."""

_HEAD: Final = (
    *("title", "citation", "low", "high", "anchors", "labels", "kind", "rater"),
)
_MOST: Final = 11  # points of a scale with buttons


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
    rights
        Owner of the wording if it is not shipped: see `with_wording`.
    kind
        Kind of the response scale.
    labels
        Label of each response, from the lowest; none for labels at both ends alone.
    rater
        Person who answers about the participant: `SELF`, or ``parent``, ``observer``
        ...
    """

    name: str
    title: str
    citation: str
    low: int
    high: int
    anchors: tuple[str, str]
    items: Mapping[str, str]
    scales: Mapping[str, Scale]
    rights: str = ""
    kind: ResponseKind = "likert"
    labels: tuple[str, ...] = ()
    rater: str = SELF

    @property
    def report(self) -> str:
        """Kind of report: ``self-report``, or ``parent report`` ..."""
        return "self-report" if self.rater == SELF else f"{self.rater} report"

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
    """Return a questionnaire; its wording is empty if others have the rights to it.

    Raises
    ------
    ValueError
        If no questionnaire has this name, or its file is incomplete.
    """
    if name not in questionnaire_names():
        known = ", ".join(questionnaire_names())
        raise ValueError(f"there is no questionnaire {name!r}; there is {known}")
    path = HOME / f"{name}.toml"
    tables: dict[str, Any] = config.read(path)
    head = tables["questionnaire"]
    numbered = [str(i + 1) for i in range(head.get("items", 0))]
    items = tables.get("items") or dict.fromkeys(numbered, "")
    scales = {
        key: config.make(
            Scale, config.build(parts, path.name), f"{path.name}: scales.{key}"
        )
        for key, parts in tables["scales"].items()
    }
    for key, scale in scales.items():
        if unknown := [i for i in (*scale.items, *scale.reverse) if i not in items]:
            raise ValueError(f"{path.name}: scales.{key} names no item {unknown[0]!r}")
    low, high = head.get("anchors", ("", ""))
    return Questionnaire(
        name,
        head["title"],
        head["citation"],
        head["low"],
        head["high"],
        (low, high),
        items,
        scales,
        head.get("rights", ""),
        head.get("kind", "likert"),
    )


@cache
def questionnaire_names() -> tuple[str, ...]:
    """Return the names of all questionnaires."""
    return tuple(sorted(path.stem for path in HOME.glob("*.toml")))


def with_wording(name: str, folder: Path) -> Questionnaire:
    """Return a questionnaire with its wording, which others' rights may keep out.

    Parameters
    ----------
    name
        Name of a shipped questionnaire, or of a file of the user.
    folder
        Folder with the file ``NAME.toml``. For a shipped questionnaire: ``anchors``,
        the labels of both ends of the response scale, and the table ``[items]``. For
        the user's questionnaire: the tables ``[questionnaire]``, ``[items]`` and,
        optionally, ``[scales]``, as docs/study.md shows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If no questionnaire has this name, or the file is incomplete.
    """
    path = folder / f"{name}.toml"
    if name not in questionnaire_names() and path.is_file():
        return _user_questionnaire(path)
    questionnaire = load(name)
    if not questionnaire.rights:
        return questionnaire
    if not path.is_file():
        raise FileNotFoundError(
            f"the items of {name!r} are not shipped, because {questionnaire.rights} "
            f"has the rights to them: write your licensed wording to {path}, as "
            "docs/study.md shows"
        )
    tables = config.read(path)
    config.allow(tables, ("anchors", "items"), path.name, "a file of wording")
    anchors, items = tables.get("anchors"), tables.get("items")
    if not (isinstance(anchors, list) and len(anchors) == 2 and _texts(anchors)):
        raise ValueError(f"{path}: anchors must be two texts, not {anchors!r}")
    if not (isinstance(items, dict) and _texts(items.values())):
        raise ValueError(f"{path} needs a table [items] of texts")
    wanted = list(questionnaire.items)
    if set(items) != set(wanted):
        raise ValueError(
            f"{path} must word the items {', '.join(wanted)} and no others; it has "
            f"{', '.join(items) or 'none'}"
        )
    return replace(
        questionnaire,
        anchors=(anchors[0], anchors[1]),
        items={item: items[item] for item in wanted},
    )


def _user_questionnaire(path: Path) -> Questionnaire:
    """Return the questionnaire of a user's file; ValueError if it is incomplete."""
    tables, at = config.read(path), path.name
    config.allow(tables, ("questionnaire", "items", "scales"), at, "a questionnaire")
    head, items = tables.get("questionnaire"), tables.get("items")
    if not isinstance(head, dict):
        raise ValueError(f"{path} needs a table [questionnaire]")
    config.allow(head, _HEAD, f"{at}: questionnaire", "a questionnaire")
    if not (isinstance(items, dict) and items and _texts(items.values())):
        raise ValueError(f"{path} needs a table [items] of texts")
    if bad := [n for n in (path.stem, *items) if not _NAME.fullmatch(n)]:
        raise ValueError(
            f"{path}: the name {bad[0]!r} must be of letters, digits, '-' and '_'"
        )
    scales: dict[str, Any] = tables.get("scales") or {i: {"items": [i]} for i in items}
    built = {
        key: config.make(Scale, config.build(parts, at), f"{at}: scales.{key}")
        for key, parts in scales.items()
    }
    for key, scale in built.items():
        if unknown := [i for i in (*scale.items, *scale.reverse) if i not in items]:
            raise ValueError(f"{path}: scales.{key} names no item {unknown[0]!r}")
    return _with_responses(path, head, items, built)


def _with_responses(
    path: Path,
    head: Mapping[str, Any],
    items: Mapping[str, str],
    scales: Mapping[str, Scale],
) -> Questionnaire:
    """Return a questionnaire after checking its response scale."""
    kind, title = head.get("kind", "likert"), head.get("title", "")
    if kind not in get_args(ResponseKind):
        known = ", ".join(map(repr, get_args(ResponseKind)))
        raise ValueError(f"{path}: kind = {kind!r} must be one of {known}")
    ends = {"likert": (1, 7), "visual analogue": (0, 100), "sam": (1, 9)}[kind]
    low, high = head.get("low", ends[0]), head.get("high", ends[1])
    if not (type(low) is type(high) is int and low < high):
        raise ValueError(
            f"{path}: low = {low!r} and high = {high!r} must be whole numbers, the "
            "lower one first"
        )
    if kind == "sam" and (low, high) != (1, 9):
        raise ValueError(f"{path}: figures are rated from 1 to 9, not {low} to {high}")
    if kind == "likert" and high - low >= _MOST:
        raise ValueError(
            f"{path}: a scale from {low} to {high} has more than {_MOST} buttons: use "
            'kind = "visual analogue"'
        )
    anchors, labels = head.get("anchors"), head.get("labels", [])
    if not (isinstance(anchors, list) and len(anchors) == 2 and _texts(anchors)):
        raise ValueError(f"{path}: anchors must be two texts, not {anchors!r}")
    if labels and not (
        isinstance(labels, list) and len(labels) == high - low + 1 and _texts(labels)
    ):
        raise ValueError(
            f"{path}: labels must be {high - low + 1} texts, one for each response "
            f"from {low} to {high}, not {labels!r}"
        )
    if not (isinstance(title, str) and title.strip()):
        raise ValueError(f"{path}: title = {title!r} must be a text")
    rater = head.get("rater", SELF)
    if not (isinstance(rater, str) and re.fullmatch(r"[a-z][a-z ]{0,19}", rater)):
        raise ValueError(
            f"{path}: rater = {rater!r} must be {SELF!r} or a word in small "
            "letters, as 'parent' or 'observer'"
        )
    return Questionnaire(
        path.stem,
        title,
        str(head.get("citation", "")) or "the study's own",
        low,
        high,
        (anchors[0], anchors[1]),
        items,
        scales,
        "",
        kind,
        tuple(labels),
        rater,
    )


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
