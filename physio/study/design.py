"""The plan of a study: conditions, questionnaires, exclusions, contrasts, hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self

from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.filename import valid_name
from physio.offline.exclusions import Exclusion
from physio.offline.table_methods import is_measure
from physio.study import questionnaires
from physio.study.questionnaires import Questionnaire
from physio.study.stimuli import StimulusFile, StimulusSet, read_files

SHOWN: Final = ("scl", "scr_per_minute", "mean_heart_rate", "prv_rmssd")
TABLES: Final = ("study", "conditions", "stimuli", "contrasts", "exclusions")
_TEXT: Final = 20_000  # characters of a text for participants


@dataclass(frozen=True)
class Settings:
    """The ``[study]`` table.

    Parameters
    ----------
    name
        Short name for files and recordings.
    participants
        Planned number of participants.
    consent
        Name and version of the consent text.
    scope
        Uses that participants agree to.
    seed
        Seed of the orders.
    session
        Session file with the devices, beside the study file.
    preflight
        True to begin sessions with the checks of `physio.study.preflight`.
    baseline
        Condition from which the differences in the table are taken; empty for none.
    instructions
        Text file beside the study file, shown first in the browser; empty for none.
    consent_text
        Text file that participants agree to in the browser; empty for none.
    """

    name: str
    participants: int
    consent: str
    scope: tuple[str, ...] = ("recording", "analysis")
    seed: int = 1
    session: str = "session.toml"
    preflight: bool = True
    baseline: str = ""
    instructions: str = ""
    consent_text: str = ""

    def __post_init__(self) -> None:
        if self.participants < 1:
            raise ValueError(
                f"a study has at least one participant, not {self.participants}"
            )
        if not self.name or not self.consent:
            raise ValueError("a study has a name and a consent text, not empty ones")
        valid_name(self.session, "a session file")
        if not self.session.endswith(".toml") or self.session == "study.toml":
            raise ValueError(
                f"session = {self.session!r} must be another TOML file beside the "
                "study file"
            )
        for key in ("instructions", "consent_text"):
            name = getattr(self, key)
            if name and not valid_name(name, f"a file of {key}").endswith(".txt"):
                raise ValueError(
                    f"{key} = {name!r} must be a .txt file beside the study file"
                )


@dataclass(frozen=True)
class Condition:
    """A table ``[conditions.NAME]``.

    Parameters
    ----------
    seconds
        Duration (s); none with stimuli, whose durations add up.
    prompt
        Instruction shown to the participant.
    place
        ``first`` or ``last`` for all participants, or ``balanced`` over them.
    questionnaires
        Questionnaires after the condition.
    stimuli
        Table of ``[stimuli]`` that is presented in the browser; empty for none.
    show
        Content of the participant's page without stimuli: ``prompt``, ``cross`` or
        ``countdown``.
    rate
        Dimensions that the participant rates continuously during the condition, two at
        most: ``valence``, ``arousal``, ``dominance``.
    break_seconds
        Longest break after the condition (s), which the participant may end; 0: none.
    """

    seconds: float = 0.0
    prompt: str = ""
    place: Literal["first", "balanced", "last"] = "balanced"
    questionnaires: tuple[str, ...] = ()
    stimuli: str = ""
    show: Literal["prompt", "cross", "countdown"] = "prompt"
    rate: tuple[str, ...] = ()
    break_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.stimuli and self.seconds:
            raise ValueError(
                f"seconds = {self.seconds:g}, but its stimuli last as long as they do: "
                "leave seconds out here, and give seconds to the stimuli"
            )
        if self.seconds <= 0 and not self.stimuli:
            raise ValueError(f"a condition lasts more than 0 s, not {self.seconds:g}")
        if not 0 <= self.break_seconds <= 86_400:
            raise ValueError(
                f"break_seconds = {self.break_seconds:g} must be from 0 to 86400"
            )
        unknown = [d for d in self.rate if d not in DIMENSIONS]
        if unknown or len(set(self.rate)) != len(self.rate) or len(self.rate) > 2:
            raise ValueError(
                f"rate = {list(self.rate)} must name at most two different dimensions "
                f"of {', '.join(DIMENSIONS)}"
            )


@dataclass(frozen=True)
class Contrast:
    """A table of ``[[contrasts]]``, planned before the first participant.

    Parameters
    ----------
    of, against
        Two conditions; the contrast is the first minus the second, within participants.
    outcomes
        Names of measures, as of `physio table`, or of scores: ``sam.arousal``.
    """

    of: str
    against: str
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """The plan of a study.

    Parameters
    ----------
    study, conditions, contrasts, exclusions, stimuli
        The tables of the study file.
    tables
        The content of the study file.
    folder
        Folder of the study file, with the wording of questionnaires that others own.
    """

    study: Settings
    conditions: Mapping[str, Condition]
    contrasts: tuple[Contrast, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    folder: Path = Path()
    stimuli: Mapping[str, StimulusSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("a study has conditions: add a table [conditions.NAME]")
        named = [("a contrast", c) for k in self.contrasts for c in (k.of, k.against)]
        if self.study.baseline:
            named.append(("the baseline", self.study.baseline))
        for kind, name in named:
            if name not in self.conditions:
                raise ValueError(
                    f"{kind} names the condition {name!r}; the study has "
                    f"{', '.join(self.conditions)}"
                )
        for name, condition in self.conditions.items():
            if condition.stimuli and condition.stimuli not in self.stimuli:
                raise ValueError(
                    f"conditions.{name}: stimuli = {condition.stimuli!r} names no "
                    f"table [stimuli.{condition.stimuli}]; there is "
                    f"{', '.join(self.stimuli) or 'none'}"
                )
        for asked in self._asked:
            self.questionnaire(asked)
        for contrast in self.contrasts:
            for name in contrast.outcomes:
                _check_measure(name, self._asked)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a study file.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If a key or a value is invalid.
        """
        tables = config.read(path)
        at = path.name
        config.allow(tables, TABLES, at, "a study file")
        for table in ("study", "conditions"):
            if not isinstance(tables.get(table), dict):
                raise ValueError(f"{at}: a study file needs a table [{table}]")
        conditions = {
            name: _from_table(Condition, parts, f"{at}: conditions.{name}")
            for name, parts in tables["conditions"].items()
        }
        several: list[tuple[Any, ...]] = []
        for kind, key in ((Contrast, "contrasts"), (Exclusion, "exclusions")):
            rows = tables.get(key, [])
            if not isinstance(rows, list):
                raise ValueError(f"{at}: {key} is a list of tables, [[{key}]]")
            several.append(
                tuple(
                    _from_table(kind, parts, f"{at}: {key}[{i}]")
                    for i, parts in enumerate(rows)
                )
            )
        if not isinstance(tables.get("stimuli", {}), dict):
            raise ValueError(f"{at}: stimuli are tables, [stimuli.NAME]")
        stimuli = {
            name: _from_table(StimulusSet, parts, f"{at}: stimuli.{name}")
            for name, parts in tables.get("stimuli", {}).items()
        }
        settings = _from_table(Settings, tables["study"], f"{at}: study")
        rest = (several[0], several[1], tables, path.parent, stimuli)
        try:
            return cls(settings, conditions, *rest)
        except ValueError as error:
            raise ValueError(f"{at}: {error}") from None

    def questionnaire(self, name: str) -> Questionnaire:
        """Return a questionnaire with its wording; errors as of `with_wording`."""
        return questionnaires.with_wording(name, self.folder)

    @property
    def _asked(self) -> tuple[str, ...]:
        """Names of all questionnaires, after conditions and after stimuli."""
        after = {n for c in self.conditions.values() for n in c.questionnaires}
        after |= {n for s in self.stimuli.values() for n in s.questionnaires}
        return tuple(sorted(after))

    @property
    def worded(self) -> tuple[str, ...]:
        """Names of the questionnaires that have a file beside the study file."""
        shipped = questionnaires.questionnaire_names()
        return tuple(
            n for n in self._asked if n not in shipped or questionnaires.load(n).rights
        )

    @property
    def scored(self) -> dict[str, Questionnaire]:
        """All questionnaires, shipped or of the study, without others' wording."""
        shipped = questionnaires.questionnaire_names()
        users = {n: self.questionnaire(n) for n in self._asked if n not in shipped}
        return {n: questionnaires.load(n) for n in shipped} | users

    @cached_property
    def stimulus_files(self) -> dict[str, tuple[StimulusFile, ...]]:
        """Checked files of each table of ``[stimuli]``; errors as of `read_files`."""
        return {
            name: read_files(stimuli, self.folder, f"study.toml: stimuli.{name}")
            for name, stimuli in self.stimuli.items()
        }

    def text(self, key: Literal["instructions", "consent_text"]) -> str:
        """Return a text for participants; empty if the plan names none.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is empty, too long, or not in UTF-8.
        """
        name = getattr(self.study, key)
        if not name:
            return ""
        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"study.toml: {key} = {name!r}: there is no such file in {self.folder}"
            )
        try:
            text = path.read_text("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not in UTF-8: save it as such") from None
        if not 0 < len(text) <= _TEXT:
            raise ValueError(
                f"{path} has {len(text)} characters, and needs 1 to {_TEXT}"
            )
        return text

    def seconds(self, condition: str) -> float:
        """Return the planned duration of a condition (s), without questionnaires."""
        planned = self.conditions[condition]
        if not planned.stimuli:
            return planned.seconds
        files = self.stimulus_files[planned.stimuli]
        gaps = len(files) * self.stimuli[planned.stimuli].gap
        return gaps + sum(file.seconds for file in files)

    @property
    def hash(self) -> str:
        """SHA-256 of the plan: content, wording, texts and the files of stimuli.

        White space and comments of the study file do not change it.
        """
        content = dict(self.tables)
        shipped = questionnaires.questionnaire_names()
        for name in self.worded:
            asked = self.questionnaire(name)
            wording: Any = [*asked.anchors, *asked.items.values()]
            if name not in shipped:
                wording = [wording, config.read(self.folder / f"{name}.toml")]
            content[f"{name}.toml"] = wording
        if instructions := self.text("instructions"):
            content["text of instructions"] = instructions
        if consent := self.text("consent_text"):
            content["text of consent"] = consent
        if self.stimuli:
            content["files of stimuli"] = self.file_hashes
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of the file of each stimulus, by its name."""
        sets = self.stimulus_files.values()
        return {file.name: file.sha256 for files in sets for file in files}

    def placed(self, place: str) -> tuple[str, ...]:
        """Return the conditions of a place."""
        return tuple(n for n, c in self.conditions.items() if c.place == place)


def _from_table(kind: type, parts: Any, at: str) -> Any:
    """Return the settings of a table of the file."""
    if not isinstance(parts, dict):
        raise ValueError(f"{at} = {parts!r} must be a table")
    return config.make(kind, config.build(parts, at), at)


def _check_measure(name: str, asked: Sequence[str]) -> None:
    """Raise ValueError if a name is neither a measure nor a score."""
    stem = name.partition(".")[0]
    scored = (*questionnaires.questionnaire_names(), *asked)
    if is_measure(name) or stem in scored:
        return
    raise ValueError(
        f"a contrast names the outcome {name!r}, which is no measure of a table "
        f"({', '.join(SHOWN)} ...) and no score"
    )
