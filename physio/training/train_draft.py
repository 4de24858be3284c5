"""Draft of a training file from what a folder holds."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from physio.core.affect import DIMENSIONS
from physio.core.counted_nouns import counted
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, natural_sorted
from physio.offline.extract import Windows
from physio.online.default_pipeline import feature_info
from physio.training.recording_labels import (
    UNNAMED,
    labelled_spans,
    rating_names,
)
from physio.training.sources import (
    RECORDINGS,
    STUDY,
    DataSource,
    LabelledData,
    RecordingEntry,
    kind_of_data,
    open_source,
    participant_of,
)

USUAL: Final = (
    ("eda.scr_rate", "sqrt"), ("eda.tonic", "log"), ("prv.rate", "raw"),
    ("prv.rmssd", "log"), ("heart.rate", "raw"), ("heart.rmssd", "log"),
    ("resp.rate", "raw"), ("motion.activity", "log"), ("temperature.slope", "raw"),
)  # fmt: skip
"""Features that a draft takes where there are any, and their transforms."""

_DE: Final = "eeg.de."
_LOOKED_AT: Final = 6  # recordings that are read
_SCALES: Final = ((-1.0, 1.0), (1.0, 5.0), (1.0, 7.0), (1.0, 9.0), (1.0, 10.0),
                  (0.0, 10.0), (0.0, 100.0), (0.0, 1000.0))  # fmt: skip


class FolderFacts(NamedTuple):
    """Facts about the recordings of a folder.

    Parameters
    ----------
    kind
        Value of ``data.dataset``.
    data
        The recordings.
    participants
        Codes of the participants, where the folder states them.
    sessions
        Number of sessions of each participant.
    recording
        A recording.
    spans
        Labelled spans of the recordings that were read.
    seconds
        Duration of a recording (s).
    """

    kind: str
    data: LabelledData
    participants: tuple[str, ...]
    sessions: int
    recording: Recording
    spans: tuple[ConditionSpan, ...]
    seconds: float


def draft(folder: Path, file: Path, participant: str = "") -> tuple[str, str]:
    """Return the text of a training file, and its cost in a sentence.

    Parameters
    ----------
    folder
        Folder of the data.
    file
        Path of the training file, which names the folder relative to its own.
    participant
        Participant of a personal model; by default the model is of all.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds no recording with a label.
    """
    facts = _facts(folder, participant)
    baseline = _baseline(facts)
    columns, others = _columns(facts, baseline)
    protocol, folds = _protocol(facts)
    relative = os.path.relpath(folder, file.parent)
    name = (
        f"{folder.resolve().name}-{participant}"
        if participant
        else folder.resolve().name
    )
    lines = [
        f"# Training file: physio train {file.name}",
        "",
        "[data]",
        f'dataset = "{facts.kind}"',
        f'folder = "{Path(relative).as_posix()}"',
        f"# {_people(facts)}",
        f'participants = ["{participant}"]' if participant else
        '# participants = ["..."]  # default: all; one makes a personal model',
        "",
        *_target(facts),
        "",
        "[features]",
        "# Features of the live chains, each with its transform: raw, sqrt or log.",
        "columns = [",
        *(f'  ["{column}", "{scale}"],' for column, scale in columns),
        "]",
        *(f"# also there: {', '.join(part)}" for part in _rows(others)),
        f"baseline_seconds = {baseline:g}  # s, from which features differ",
        f"every = {5 if facts.seconds > 600 else 1}  # s between two moments",
        "",
        "[model]",
        'use = "gaussian"  # or "ridge", sklearn.ensemble:RandomForestRegressor ...'
        if _rated(facts) else
        'use = "logistic"  # or sklearn.ensemble:RandomForestClassifier ...',
        "",
        "[protocol]",
        protocol,
        '# held_out = ["..."]  # participants for a replay, who neither train nor test',
        "",
        "[output]",
        f'name = "{_safe(name)}-model"',
        "",
    ]  # fmt: skip
    return "\n".join(lines), _cost(facts, folds)


def _facts(folder: Path, participant: str) -> FolderFacts:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    kind = kind_of_data(folder)
    if not kind:
        raise ValueError(
            f"{folder} holds no data set, study, BIDS folder or recording that can be "
            "read: docs/data.md names the formats"
        )
    wanted = (participant,) if participant else ()
    data = open_source(DataSource(kind, ".", wanted), [folder])
    unknown = not any(e.participant for e in data.entries)
    if unknown:
        data = data._replace(entries=with_codes(data.entries, participant))
    whole = unknown and participant
    entries = data.entries if whole else _spread(data.entries)
    readable, problem = _readable(entries, participant)
    if not readable:
        raise ValueError(f"{folder}: no recording can be used: {problem}")
    spans = tuple(s for _, r in readable for s in labelled_spans(r))
    if not any(s.answers for s in spans) and {s.name for s in spans} <= {UNNAMED}:
        raise ValueError(
            f"the recordings of {folder} have no rating and no condition: mark them "
            "with 'begin NAME' and 'end NAME', rate in sessions, or add events.tsv"
        )
    codes = {e.participant for e in (*data.entries, *(e for e, _ in readable))}
    recording = readable[0][1]
    visits = {(e.participant, e.session) for e in data.entries}
    sessions = len(visits) // max(len({p for p, _ in visits}), 1)
    seconds = median(r.seconds for _, r in readable)
    return FolderFacts(
        kind, data, tuple(natural_sorted(codes - {""})), sessions, recording, spans,
        seconds,
    )  # fmt: skip


def with_codes(
    entries: tuple[RecordingEntry, ...], participant: str
) -> tuple[RecordingEntry, ...]:
    """Return the recordings with the codes that only they state, each read in turn.

    Those that cannot be read are left out, unless none can; and so are those of others
    than ``participant``, if it is not empty.
    """
    known = []
    for entry in entries:
        try:
            code = participant_of(entry, entry.load())
        except (ValueError, OSError):
            continue
        known.append(entry._replace(participant=code))
    if not known:
        return entries
    return tuple(e for e in known if participant in ("", e.participant))


def _readable(
    entries: Sequence[RecordingEntry], participant: str
) -> tuple[list[tuple[RecordingEntry, Recording]], str]:
    """Return the recordings that can be read, and the last problem."""
    readable: list[tuple[RecordingEntry, Recording]] = []
    problem = "no recording is of that participant"
    for entry in entries:
        try:
            recording = entry.load()
            code = participant_of(entry, recording)
        except (ValueError, OSError) as error:
            problem = str(error)
            continue
        if not participant or code == participant:
            readable.append((entry._replace(participant=code), recording))
    return readable, problem


def _spread(entries: Sequence[RecordingEntry]) -> list[RecordingEntry]:
    """Return some recordings, at first of one participant, then of others."""
    step = max(len(entries) // _LOOKED_AT, 1)
    return list(entries[:2]) + list(entries[2::step])[: _LOOKED_AT - 2]


def _rated(facts: FolderFacts) -> bool:
    return any(d in s.answers for s in facts.spans for d in DIMENSIONS) or bool(
        _other_ratings(facts)
    )


def _other_ratings(facts: FolderFacts) -> list[str]:
    names = rating_names(facts.spans)
    return [
        n for n in names if n not in DIMENSIONS and not n.startswith("participants")
    ]


def _target(facts: FolderFacts) -> list[str]:
    """Return the table ``[target]``."""
    dimensions = [d for d in DIMENSIONS if any(d in s.answers for s in facts.spans)]
    names = list(dict.fromkeys(s.name for s in facts.spans))
    classes = ", ".join(f'"{n}" = ["{n}"]' for n in names[:6])
    others = _other_ratings(facts)
    lines = ["[target]"]
    if dimensions:
        listed = ", ".join(f'"{d}"' for d in dimensions)
        lines += [f"ratings = [{listed}]", _scale(facts, dimensions)]
    elif others:
        name = others[0].rpartition(".")[2]
        lines += [
            f"# The rating {others[0]!r}; a session gives it on this scale.",
            f'ratings = {{ "{name}" = "{others[0]}" }}', _scale(facts, others[:1]),
        ]  # fmt: skip
    else:
        lines += [f"conditions = {{ {classes} }}"]
        return lines
    if others:
        lines.append(f"# also rated: {', '.join(others[:8])}")
    if len(names) > 1:
        lines.append(f"# or, instead of ratings: conditions = {{ {classes} }}")
    return lines


def _scale(facts: FolderFacts, names: Sequence[str]) -> str:
    """Return the line with the smallest usual scale that has all ratings."""
    values = [s.answers[n] for s in facts.spans for n in names if n in s.answers]
    low, high = _stated_scale(facts, names[0]) or next(
        ((a, b) for a, b in _SCALES if a <= min(values) and max(values) <= b),
        (min(values), max(values)),
    )
    return (
        f"scale = [{low:g}, {high:g}]  # lowest and highest possible rating; check it"
    )


def _stated_scale(facts: FolderFacts, name: str) -> tuple[float, float] | None:
    """Return the ends of a questionnaire's scale whose ratings on [-1, 1] stand beside.

    None where they do not, or all ratings are the same.
    """
    scaled = name.rpartition(".")[2]
    pairs = sorted(
        {(s.answers[scaled], s.answers[name]) for s in facts.spans
         if scaled != name and {scaled, name} <= set(s.answers)}
    )  # fmt: skip
    if len(pairs) < 2 or pairs[0][0] == pairs[-1][0]:
        return None
    (x, low), (y, high) = pairs[0], pairs[-1]
    half = (high - low) / (y - x)
    middle = low - half * x
    return round(middle - half, 6), round(middle + half, 6)


def _baseline(facts: FolderFacts) -> float:
    """Return a duration of the baseline that the recordings allow (s)."""
    begin = min((s.begin for s in facts.spans), default=facts.recording.begin)
    before = begin - facts.recording.begin
    if facts.seconds > 1800:
        return 300.0
    if facts.seconds > 300:
        return 60.0
    return float(int(before)) if before >= 1 else 0.0


def _columns(
    facts: FolderFacts, baseline: float
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return features with transforms, and further features."""
    plan = Windows().file.plan(facts.recording.inputs)
    info = feature_info(plan, facts.recording.inputs)
    longest = max((s.end for s in facts.spans), default=0.0) - facts.recording.begin
    room = max(longest - baseline, 0.0)
    given = [
        c.name
        for c in info.channels
        if c.kind != "quality"
        and not c.name.endswith((".window_start", ".window_end"))
        and c.memory < room
    ]
    chosen = [(c, scale) for c, scale in USUAL if c in given]
    chosen += [(c, "raw") for c in given if c.startswith(_DE)]
    if not chosen:
        chosen = [(c, "raw") for c in given]
    names = {c for c, _ in chosen}
    return chosen, [c for c in given if c not in names]


def _protocol(facts: FolderFacts) -> tuple[str, int]:
    """Return the line of the protocol, and the number of folds."""
    people = len(facts.participants)
    if people > 20:
        return 'by = "k-fold"\nk = 10  # groups of participants', 10
    if people > 1 or (not people and len(facts.data.entries) > 1):
        return 'by = "leave-one-participant-out"', max(people, 2)
    ours = facts.kind in (STUDY, RECORDINGS)
    if facts.sessions > 1 or (ours and len(facts.data.entries) > 1):
        return 'by = "session-out"', max(facts.sessions, 2)
    return 'by = "blocks"  # whole blocks of one session\nk = 5\nlag = 10', 5


def _people(facts: FolderFacts) -> str:
    streams = ", ".join(i.name for i in facts.recording.inputs if i.rate)
    codes = ", ".join(facts.participants[:8])
    more = len(facts.participants) - 8
    people = f"{counted(len(facts.participants), 'participant')} ({codes}" + (
        f" and {more} more)" if more > 0 else ")"
    )
    return f"{people}, {counted(len(facts.data.entries), 'recording')}; {streams}"


def _cost(facts: FolderFacts, folds: int) -> str:
    hours = facts.seconds * len(facts.data.entries) / 3600
    return (
        f"{counted(len(facts.data.entries), 'recording')}, about {hours:.1f} h of "
        f"signals, of which features are computed once; then {folds + 1} fits of the "
        "model"
    )


def _rows(names: Iterable[str]) -> list[list[str]]:
    listed = list(names)
    return [listed[i : i + 4] for i in range(0, min(len(listed), 24), 4)]


def _safe(name: str) -> str:
    text = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.lower())
    return text.strip("-") or "mine"
