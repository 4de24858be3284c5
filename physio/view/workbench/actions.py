"""Actions of the workbench: each is a command of ``physio`` with its arguments."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

from physio.view.workbench.folder_items import FolderItem

SOURCES: Final = ("recording", "session")
_OF_SESSIONS: Final = ("check", "view", "report")
"""Commands that take the folder of a session."""

_TEXT: Final = 200  # characters of a value
_SPAN: Final = re.compile(r"\d+(\.\d+)?\s+\d+(\.\d+)?")


@dataclass(frozen=True)
class ActionField:
    """Value that a person chooses for an action.

    Parameters
    ----------
    name, label
        Name, and label in the page.
    option
        Option of the command.
    choices
        Allowed values, the first by default; empty for a free text.
    items
        Kind of items of the folder to choose from.
    pattern
        Expression that a free text must match.
    hint
        Example of a value.
    """

    name: str
    label: str
    option: str
    choices: tuple[str, ...] = ()
    items: str = ""
    pattern: str = ""
    hint: str = ""

    def arguments(self, value: str) -> list[str]:
        """Return the arguments of a value; none for an empty one.

        Raises
        ------
        ValueError
            If the value is not allowed.
        """
        value = value.strip()
        if not value:
            return []
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.label}: {value[:_TEXT]!r} is not a choice")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValueError(
                f"{self.label}: {value[:_TEXT]!r} is not of the form {self.hint}"
            )
        if self.choices and value == self.choices[0]:
            return []
        if self.option == "--baseline" and _SPAN.fullmatch(value):
            return [self.option, *value.split()]
        return [self.option, value]


@dataclass(frozen=True)
class Action:
    """Command for items of some kinds.

    Parameters
    ----------
    name
        Command of ``physio``.
    label, description
        Texts of the page.
    kinds
        Kinds of items that it takes; empty if it takes none.
    output
        Ending of what it writes, after the name of the item; empty if nothing.
    flag
        Option that names the output; empty if it is an argument.
    fields
        Values to choose.
    extra
        Further arguments.
    is_page
        Whether the command serves a page until it is stopped.
    several
        Whether it takes several items at the same time.
    """

    name: str
    label: str
    description: str
    kinds: tuple[str, ...]
    output: str = ""
    flag: str = ""
    fields: tuple[ActionField, ...] = ()
    extra: tuple[str, ...] = ()
    is_page: bool = False
    several: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the action as the page shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "kinds": self.kinds,
            "is_page": self.is_page,
            "several": self.several,
            "fields": [
                {
                    "name": f.name,
                    "label": f.label,
                    "choices": f.choices,
                    "items": f.items,
                    "hint": f.hint,
                }
                for f in self.fields
            ],
        }


_WORDS: Final = ("lsl", "muse", "openbci", "e4", "polar", "synthetic", "demo")
_CONDITIONS: Final = ActionField(
    "conditions", "Conditions", "--conditions", items="conditions"
)
_BASELINE: Final = ActionField(
    "baseline",
    "Baseline",
    "--baseline",
    pattern="[^-].*",
    hint="rest, or 0 60",
)

ACTIONS: Final[Mapping[str, Action]] = {
    action.name: action
    for action in (
        Action(
            "check",
            "Check",
            "Every channel, and what can be computed of every stream.",
            SOURCES,
        ),
        Action(
            "view",
            "View",
            "Signals, features and estimates, with a slider for the time.",
            SOURCES,
            extra=("--no-open",),
            is_page=True,
        ),
        Action(
            "edit",
            "Correct",
            "Mark bad spans, move beats and skin conductance responses; the recording "
            "is not changed.",
            SOURCES,
            fields=(_CONDITIONS,),
            extra=("--no-open",),
            is_page=True,
        ),
        Action(
            "table",
            "Table by condition",
            "A row for each participant, condition and measure.",
            (*SOURCES, "dataset"),
            output="-table.csv",
            flag="--output",
            fields=(
                _CONDITIONS,
                _BASELINE,
            ),
            several=True,
        ),
        Action(
            "report",
            "Report",
            "One page with coverage, signals, conditions and a methods paragraph.",
            (*SOURCES, "dataset"),
            output="-report.html",
            flag="--out",
            fields=(_CONDITIONS, _BASELINE),
        ),
        Action(
            "analyze",
            "Beats and responses",
            "Every beat and skin conductance response of the recording, as tables.",
            ("recording",),
            output="-analysis",
            flag="--output",
            fields=(
                _CONDITIONS,
            ),
        ),
        Action(
            "export",
            "Export",
            "The recording as BIDS, or as tables or EDF.",
            ("recording",),
            output="-{format}",
            fields=(
                ActionField(
                    "format", "Format", "--format", ("bids", "csv", "parquet", "edf")
                ),
            ),
        ),
        Action(
            "study table",
            "Table of the study",
            "The preregistered outcomes and contrasts.",
            ("study",),
        ),
        Action(
            "init session",
            "New session file",
            "Look for devices, and write a session file for those that answer.",
            (),
            output="session.toml",
            fields=(
                ActionField("word", "Devices", "--look-for", ("", *_WORDS)),
            ),
        ),
        Action(
            "live",
            "Record live",
            "A session with the devices of this file; the dashboard opens.",
            ("settings",),
            fields=(
                ActionField(
                    "participant", "Participant code", "--participant",
                    pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", hint="p07",
                ),
                ActionField(
                    "consent", "Consent text", "--consent", pattern=r"[^-].*",
                    hint="lab-form-3",
                ),
            ),
            extra=("--dashboard",),
            is_page=True,
        ),
    )
}  # fmt: skip
"""Actions by their name, in the order of the page."""


@dataclass(frozen=True)
class PlannedCommand:
    """Arguments of a command, and what it will write.

    Parameters
    ----------
    action
        The action.
    arguments
        Arguments after ``physio``.
    outputs
        Paths of the main outputs, relative to the folder.
    """

    action: Action
    arguments: tuple[str, ...]
    outputs: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """The command line, for a shell in the folder, where it opens its page."""
        shown = (part for part in self.arguments if part != "--no-open")
        return shlex.join(("physio", *shown))


def planned(
    name: str,
    items: Sequence[FolderItem],
    values: Mapping[str, str],
    folder: Path,
    conditions: Sequence[str] = (),
) -> PlannedCommand:
    """Return the command of an action on items of a folder.

    Parameters
    ----------
    name
        Name of the action.
    items
        The items.
    values
        Values of the action's fields; missing ones are empty.
    folder
        The folder.
    conditions
        Paths of the sheets of conditions that may be chosen.

    Raises
    ------
    ValueError
        If the action does not exist or does not apply, or a value is not allowed.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise ValueError(f"there is no action {name[:_TEXT]!r}")
    if action.kinds and not items:
        raise ValueError(f"{action.label}: choose a file first")
    if len(items) > 1 and not action.several:
        raise ValueError(f"{action.label}: choose a single file")
    for item in items:
        if item.kind not in action.kinds:
            raise ValueError(f"{action.label} is not for {item.path}")
    arguments = [*name.split(), *(_source(item, name) for item in items)]
    outputs: tuple[str, ...] = ()
    if action.output:
        output = _free_output(folder, items, action.output.format(**_named(values)))
        arguments += [action.flag, output] if action.flag else [output]
        outputs = (output,)
    for setting in action.fields:
        value = str(values.get(setting.name, ""))
        if setting.items and value and value not in conditions:
            raise ValueError(f"{setting.label}: there is no sheet {value[:_TEXT]!r}")
        part = setting.arguments(value)
        if setting.items and part:
            part[1] = _argument(part[1])
        arguments += part
    return PlannedCommand(action, (*arguments, *action.extra), outputs)


def _named(values: Mapping[str, str]) -> dict[str, str]:
    chosen = str(values.get("format", "") or "bids")
    return {"format": chosen if chosen.isalnum() else "bids"}


def _source(item: FolderItem, name: str) -> str:
    """Return the argument of an item: of a session, where needed, its recording."""
    is_recording = item.kind == "session" and name not in _OF_SESSIONS
    return _argument(f"{item.path}/recording.xdf" if is_recording else item.path)


def _argument(path: str) -> str:
    """Return a path that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def _free_output(folder: Path, items: Sequence[FolderItem], ending: str) -> str:
    """Return a path beside the first item that does not exist yet."""
    first = Path(items[0].path if items else ending)
    stem = first.name.partition(".")[0] or "recording"
    if len(items) > 1:
        stem = "recordings"
    if not items:
        stem = ""
    root, dot, suffix = ending.partition(".")
    numbers = chain(("",), (f"-{n}" for n in count(2)))
    names = (f"{stem}{root}{n}{dot}{suffix}" for n in numbers)
    paths = (first.with_name(name) for name in names)
    path = next(p for p in paths if not (folder / p).exists())
    return _argument(path.as_posix())
