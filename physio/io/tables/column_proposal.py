"""Proposal of a map from the names, units and values of a table's columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from physio.io.channel_kinds import channel_kind
from physio.io.montage import known
from physio.io.tables.column_map import (
    EVENT_KINDS,
    KINDS,
    ColumnMap,
    ColumnSignal,
)
from physio.io.tables.row_times import estimate_rate, read_times
from physio.io.tables.table_recording import interval_unit, numbers
from physio.io.tables.text_table import TextTable
from physio.io.units import plain, quantity

NO_RATE: Final = "no column holds times: state the rate of the rows (Hz)"
"""Doubt about a table without times, whose proposed rate means nothing."""

_TIME: Final = re.compile(
    r"(?:[a-z]+ ){0,3}?(?:time ?stamps?|date ?time|time|zeit|uhrzeit|zeitstempel|temps"
    r"|tiempo|timer|elapsed|seconds|secs?|millis|micros|millisecs?|milliseconds|unix|epoch"
    r"|unix ?time|local ?time|t|ms)(?: .*)?"
)
_COUNTER: Final = re.compile(
    r"(?:sample|packet|package|row|frame)? ?"
    r"(?:counter|count|number|index|num|no|nr|id|seq|nseq|n|#)|unnamed 0"
)

_MOVEMENT: Final = {
    "acc": ("a", r"acc(?:el(?:eration|erometer)?)?s?"),
    "gyro": ("g", r"gyr(?:o(?:scope)?)?|rot(?:ation)?"),
    "mag": ("m", r"mag(?:net(?:ometer|ic)?)?"),
}
"""First letter and names of sensors with three axes."""

_AXES: Final = tuple(
    (kind, re.compile(pattern))
    for kind, (letter, names) in _MOVEMENT.items()
    for pattern in (
        rf"{letter} ?([xyz])(?: .*)?",
        rf"(?:.* )?(?:{names})(?: \w+)*? ?([xyz])(?: .*)?",
    )
)
_WORDS: Final = tuple(
    (kind, re.compile(rf"(?:.* )?(?:{names})(?: ?\d)?(?: .*)?"))
    for kind, names in (
        ("rr", r"rri?|nni?|ibis?|r r|rr ?intervals?|inter ?beat(?: ?intervals?)?"),
        ("hr", r"hr|heart ?rate|bpm|pulse ?rate|pulsrate|herzfrequenz"),
        ("eda", r"gsr|eda|scl|sc|hautleit\w+|leitwert|skin ?(?:cond|res)\w*"),
        ("eda", r"electro ?dermal\w*|conductance"),
        ("ppg", r"ppg|bvp|pleth\w*|pulse(?: ?wave)?|puls"),
        ("ecg", r"ecg|ekg"),
        ("emg", r"emg|corrugator|zygomaticus"),
        ("eog", r"[hv]?eog"),
        ("resp", r"resp(?:iration|iratory)?|rsp|breath\w*|atmung|belt"),
        ("temp", r"temp\w*|skt|tsk|hauttemp\w*"),
    )
)
_WHOLE: Final = (
    ("ppg", r"(?:led )?(?:ir|red|green|infra ?red)(?: led)?(?: (?:value|raw|counts))?"),
    (
        "marker",
        r"(?:.* )?(?:markers?|events?|trigger|trig|annotations?|tags?)(?: ?\d)?",
    ),
    ("marker", r"(?:.* )?stim(?:ulus)?|label|condition|phase|bedingung|ereignis"),
)
"""Names of columns in lower case, with blanks for other signs, by kind of signal."""

_HELPERS: Final = re.compile(
    r"(?:.* )?(?:battery|bat|quality|validation(?: indicator)?|checksum|status"
    r"|lead ?off|contact|hsi|signal ?quality|spo ?2|oxygen|finger|steps?|lat|lon"
    r"|altitude)(?: .*)?"
)
_MODULE: Final = re.compile(r"\b(ecg|eda|gsr|ppg|rsp|emg|eog|eeg|skt)\d{2,3}[a-z]?\b")
"""Names of amplifiers, as ``ECG100C``."""

_DERIVED: Final = re.compile(
    r".*\b(?:rates?|freq(?:uency)?|count|peaks?|amplitude|mean|avg|average|median|std?"
    r"|sd|var|variance|min|max|sum|slope|rmssd|sdnn|z|zscore|score|index|level|labels?)"
)
"""Names of values that were computed of a signal, as ``resp_rate`` or ``EDA_mean``."""

_TRIPLE: Final = ("x", "y", "z")

_SPLIT: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s_.,;:/\\\-+()\[\]{}#\"'|]+")
_BRACKET: Final = re.compile(r"^(.*?)\s*[\[({]\s*([^\[\](){}]*)\s*[\])}]\s*$")

_SUFFIXES: Final = {
    "eda": {"us", "ms", "ns", "s", "microsiemens", "siemens", "kohm", "kohms", "ohm"},
    "temp": {"c", "f", "k", "degc", "degf", "celsius", "fahrenheit"},
    "acc": {"g", "mg", "ms2", "mss", "m/s2"},
    "gyro": {"dps"},
    "ecg": {"uv", "mv", "v"},
    "eeg": {"uv", "mv", "v"},
    "emg": {"uv", "mv", "v"},
    "eog": {"uv", "mv", "v"},
    "ppg": {"mv", "v"},
    "resp": {"mv", "v"},
    "rr": {"ms", "s", "msec", "sec"},
    "hr": {"bpm"},
}
"""Units at the end of names, by kind of signal; short ones are ambiguous otherwise."""

_PLAUSIBLE: Final[Mapping[str, tuple[tuple[str, float, float], ...]]] = {
    "eda": (("uS", 0.05, 60.0), ("S", 5e-8, 6e-5)),
    "temp": (("degC", 15.0, 43.0), ("degF", 60.0, 109.0), ("K", 288.0, 316.0)),
    "hr": (("1/min", 25.0, 250.0),),
    "acc": (("g", 0.7, 1.4), ("m/s^2", 7.0, 14.0), ("mg", 700.0, 1400.0)),
}
"""Units that fit a median, by kind; of acceleration, the median of its magnitude."""


class Proposal(NamedTuple):
    """Proposed meaning of the columns of a table.

    Parameters
    ----------
    columns
        The map; None if no column of a known signal was recognised.
    reasons
        Reason for the meaning of each column, also of those that are not read.
    doubts
        What the table does not show, as sentences; without any the map is certain.
    """

    columns: ColumnMap | None
    reasons: dict[str, str]
    doubts: tuple[str, ...]


def propose(table: TextTable) -> Proposal:
    """Propose a map from the names, units and values of the columns.

    A column is used if its name names a signal or an electrode. Its unit is that in the
    name or in the row of units; without any, the unit is proposed whose usual values
    are those of the column (skin conductance, temperature, acceleration), as a
    sentence. Times come from the column of times with the finest steps.
    """
    reasons: dict[str, str] = {}
    doubts: list[str] = []
    time_doubts: list[str] = []
    if len(table.names) == 1 and (listed := _intervals(table, reasons)):
        return Proposal(ColumnMap((listed,)), reasons, ())
    if len(table.names) == 2 and (timed := _timed_intervals(table, reasons)):
        return Proposal(timed, reasons, ())
    time, unit, counter = _time(table, reasons, time_doubts)
    taken = {*time, counter}
    signals = []
    for name in (n for n in table.names if n not in taken):
        signal = _signal(table, name, reasons)
        if signal is not None:
            signals.append(signal)
    doubts += _doubtful_names(signals, reasons)
    if not signals and {*_TRIPLE} <= {_key(n) for n in table.names}:
        doubts.append(
            "x, y and z state no sensor: they may be acceleration, rotation or a "
            "magnetic field"
        )
    signals = _with_units(table, signals, reasons, doubts)
    rate = _stated_rate(table)
    if not time and not rate and not any(s.kind == "rr" for s in signals):
        doubts.append(NO_RATE)
        rate = 1.0  # a map needs one
    if not signals:
        return Proposal(None, reasons, tuple(doubts))
    doubts = [*time_doubts, *doubts]
    rates = _slower(table, signals, time, reasons)
    columns = ColumnMap(
        tuple(rates), time, unit, rate=0.0 if time else rate, source="table"
    )
    return Proposal(columns, reasons, tuple(doubts))


def time_doubt(name: str) -> str:
    """Return the begin of the doubt about the unit of a column of times."""
    return f"the unit of {name} is unknown"


def signal_kind(name: str) -> str:
    """Return the kind of signal that the name of a column states; empty for none."""
    base, _ = split_unit(name)
    key = _key(base)
    if _HELPERS.fullmatch(key) or key.startswith("response"):
        return ""
    return _stated(base) or _resembled(base)


def _doubtful_names(
    signals: Sequence[ColumnSignal], reasons: dict[str, str]
) -> list[str]:
    """Return a doubt for each name that only resembles that of a signal.

    ``respr`` may be breathing or its rate; ``EDA_mean`` was computed of a signal.
    """
    doubts = []
    for signal in signals:
        base, _ = split_unit(signal.column)
        derived = _DERIVED.fullmatch(_key(base)) is not None
        plain = signal.kind in EVENT_KINDS or "." in signal.kind  # or the axis z
        if _stated(base) and (plain or not derived):
            continue
        reasons[signal.column] += ", a guess"
        doubts.append(
            f"{signal.column} may be a signal ({signal.kind}), or a value computed of "
            "one, as its rate or mean"
        )
    return doubts


def _stated(base: str) -> str:
    """Return the kind that a name without its unit states; empty for none."""
    key = _key(base)
    if kind := _named(key):
        return kind
    return "eeg" if _is_electrode(base) or re.fullmatch(r"eeg(?: .*)?", key) else ""


def _resembled(base: str) -> str:
    """Return the kind of the signal whose name resembles this one; empty for none."""
    kind = channel_kind(base, "").kind
    words = {"gsr": "eda", "bio": "ppg", "temperature": "temp"}
    return words.get(kind, kind if kind in KINDS and kind != "misc" else "")


def _key(name: str) -> str:
    """Return a name in lower case, with blanks for other signs."""
    words = " ".join(w.lower() for w in _SPLIT.split(name) if w)
    return _MODULE.sub(r"\1", words)


def _named(key: str) -> str:
    """Return the kind of signal that a name states, with its axis; empty for none."""
    for kind, pattern in _AXES:
        if match := pattern.fullmatch(key):
            return f"{kind}.{match[1]}"
    words = (kind for kind, pattern in _WORDS if pattern.fullmatch(key))
    whole = (kind for kind, pattern in _WHOLE if re.fullmatch(pattern, key))
    return next(words, "") or next(whole, "")


def split_unit(name: str) -> tuple[str, str]:
    """Return the name of a column without its unit, and the unit or ``""``."""
    match = _BRACKET.match(name)
    if match and (quantity(match[2]) or plain(match[2]).lower() in _PLAIN_UNITS):
        return match[1].strip(), match[2].strip()
    base, _, last = name.rpartition("_" if "_" in name else " ")
    kind = _named(_key(base)).partition(".")[0] or "eeg"
    if base and plain(last).lower() in _SUFFIXES.get(kind, ()):
        return base, _FULL.get(last.lower(), last)
    return name, ""


_PLAIN_UNITS: Final = ("bpm", "a.u.", "raw")
_FULL: Final = {"c": "degC", "f": "degF", "ms2": "m/s^2", "mss": "m/s^2"}


def _time(
    table: TextTable, reasons: dict[str, str], doubts: list[str]
) -> tuple[tuple[str, ...], str, str]:
    """Return the columns of times, their unit, and the column of a counter."""
    candidates: list[tuple[float, str, str, bool]] = []
    counter = ""
    names = table.names
    keys = {n: _key(split_unit(n)[0]) for n in names}
    joined = [n for n in names if keys[n] in ("date", "datum")]
    clock = [n for n in names if keys[n] in ("time", "uhrzeit", "zeit")]
    if joined and clock and table.frame[clock[0]].dtype == object:
        reasons[joined[0]] = reasons[clock[0]] = "date and time of day"
        return (joined[0], clock[0]), "iso", ""
    for name in names:
        if _COUNTER.fullmatch(keys[name]):
            counter = counter or name
            reasons[name] = "counter of samples"
            continue
        if not _TIME.fullmatch(keys[name]) and not _looks_like_time(table, name):
            continue
        unit = _time_unit(table.units.get(name, "")) or _time_unit(split_unit(name)[1])
        try:
            times = read_times(table.frame, (name,), unit)
        except (ValueError, TypeError, OverflowError):
            continue
        steps = np.diff(times.seconds)
        rising = float((steps >= 0).mean()) if len(steps) else 1.0
        distinct = float((steps > 0).mean()) if len(steps) else 1.0
        if rising < 0.9:
            continue
        reasons[name] = "times"
        score = distinct + 0.5 * times.is_unix + 0.2 * times.certain
        candidates.append((score, name, times.unit, times.certain))
    if not candidates:
        return (), "", counter
    _, name, unit, certain = max(candidates, key=lambda t: t[0])
    rate = float(estimate_rate(read_times(table.frame, (name,), unit).seconds))
    reasons[name] = f"times in {unit}, {rate:g} rows/s"
    if not certain:
        doubts.append(f"{time_doubt(name)}: in {unit}, it has {rate:g} rows a second")
    return (name,), unit, ""


def _looks_like_time(table: TextTable, name: str) -> bool:
    """Return whether values are Unix times or dates, whatever the column is called."""
    values = table.frame[name].dropna()
    if not len(values):
        return False
    if values.dtype == object:
        text = str(values.iloc[0])
        return bool(re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[T ]", text))
    median = abs(float(values.median()))
    return any(1.0e9 * f < median < 2.6e9 * f for f in (1, 1e3, 1e6, 1e9))


def _time_unit(text: str) -> str:
    text = plain(text).lower()
    words = {
        "sec": "s",
        "secs": "s",
        "seconds": "s",
        "msec": "ms",
        "milliseconds": "ms",
    }
    text = words.get(text, text)
    return text if text in ("s", "ms", "us", "ns") else ""


def _intervals(table: TextTable, reasons: dict[str, str]) -> ColumnSignal | None:
    """Return the meaning of a single column if it is a list of intervals.

    Intervals between beats are 250 to 2500 ms and differ little from one to the next;
    in seconds, the name of the file or of the column must state them.
    """
    name = table.names[0]
    try:
        data = numbers(table.frame, name, [])
    except ValueError:
        return None
    data = data[np.isfinite(data)]
    stated = f"{_key(name)} {_key(table.about.get('file', ''))}"
    named = re.search(r"\b(rri?|nni?|ibi|intervals?)\b", stated) is not None
    unit = interval_unit(data)
    low, high = (250.0, 2500.0) if unit == "ms" else (0.25, 2.5)
    if len(data) < 5 or not (named or unit == "ms"):
        return None
    inside = float(np.mean((data >= low) & (data <= high)))
    change = float(np.median(np.abs(np.diff(data)) / data[1:])) if inside > 0.9 else 1.0
    if inside <= 0.9 or change > 0.25 or (data == data[0]).all():
        return None
    if not named and not 400 <= np.median(data) <= 1500:
        return None
    reasons[name] = f"intervals between beats in {unit}"
    return ColumnSignal(name, "rr", unit)


def _timed_intervals(table: TextTable, reasons: dict[str, str]) -> ColumnMap | None:
    """Return the map of two columns that are ends of intervals and these, or None.

    The values show it themselves: nine tenths of the steps from one end to the next are
    the interval, to 2 ms, and the intervals vary.
    """
    time, interval = table.names
    try:
        ends, data = (numbers(table.frame, name, []) for name in table.names)
    except ValueError:
        return None
    if len(data) < 5 or not np.isfinite([ends, data]).all() or np.ptp(data) == 0:
        return None
    unit = interval_unit(data)
    seconds = data / (1000 if unit == "ms" else 1)
    if not 0.25 <= np.median(seconds) <= 2.5:
        return None
    for clock, scale in (("s", 1.0), ("ms", 1e-3)):
        agree = np.abs(scale * np.diff(ends) - seconds[1:]) <= 0.002
        if agree.mean() >= 0.9:
            reasons[time] = f"ends of the intervals in {clock}, by their steps"
            reasons[interval] = f"intervals between beats in {unit}, by the steps"
            signal = ColumnSignal(interval, "rr", unit)
            return ColumnMap((signal,), (time,), clock, source="table")
    return None


def _signal(
    table: TextTable, name: str, reasons: dict[str, str]
) -> ColumnSignal | None:
    """Return the meaning of a column by its name, or None."""
    if reasons.get(name):
        return None
    kind = signal_kind(name)
    values = table.frame[name]
    if not kind:
        reasons[name] = "no signal that its name states"
        return None
    if not values.notna().any():
        reasons[name] = "empty"
        return None
    if kind == "marker":
        reasons[name] = "markers, by its name"
        return ColumnSignal(name, kind)
    try:
        data = numbers(table.frame, name, [])
    except ValueError:
        reasons[name] = "texts"
        return None
    unit = table.units.get(name, "") or split_unit(name)[1]
    if kind == "rr" and not quantity(unit):
        unit = interval_unit(data)
    reasons[name] = f"{kind}, by its name"
    return ColumnSignal(name, kind, unit)


def _with_units(
    table: TextTable,
    signals: Sequence[ColumnSignal],
    reasons: dict[str, str],
    doubts: list[str],
) -> list[ColumnSignal]:
    """Return signals with the units that their values show, where none is stated."""
    result = []
    for signal in signals:
        base = signal.kind.partition(".")[0]
        if signal.unit or base not in _PLAUSIBLE:
            if not signal.unit and base in ("eeg", "ecg", "emg", "eog"):
                reasons[signal.column] += ", unit not stated"
            result.append(signal)
            continue
        same = [s.column for s in signals if s.kind.partition(".")[0] == base]
        columns = same if base == "acc" else [signal.column]
        data = np.column_stack([numbers(table.frame, c, []) for c in columns])
        median = float(np.nanmedian(np.sqrt((data**2).sum(axis=1))))
        fits = [u for u, low, high in _PLAUSIBLE[base] if low <= median <= high]
        counts = base == "eda" and bool((data == np.floor(data)).all()) and median > 5
        if len(fits) == 1 and not counts and (base != "acc" or len(columns) == 3):
            reasons[signal.column] += (
                f", a guess: {fits[0]} by its values (median {median:.3g})"
            )
            result.append(replace(signal, unit=fits[0]))
            continue
        reasons[signal.column] += ", which unit? State it"
        result.append(replace(signal, unit="counts" if base == "eda" else ""))
        doubts.append(
            f"{signal.column} states no unit, and its values (median {median:.3g}) "
            f"fit none of {', '.join(u for u, _, _ in _PLAUSIBLE[base])}"
        )
    return result


def _stated_rate(table: TextTable) -> float:
    """Return the rate that the lines before the header state (Hz), or 0."""
    for key, value in table.about.items():
        named = re.search(r"samp\w* ?(rate|freq\w*)|^rate|^fs$|^frequency", key)
        if named and (match := re.search(r"\d+(\.\d+)?", value)):
            return float(match[0])
    return 0.0


def _slower(
    table: TextTable,
    signals: Sequence[ColumnSignal],
    time: Sequence[str],
    reasons: dict[str, str],
) -> list[ColumnSignal]:
    """Return the signals; those that repeat each value k times get their rate."""
    if not time or not signals:
        return list(signals)
    rows = float(estimate_rate(read_times(table.frame, time).seconds))
    result = []
    for signal in signals:
        data = (
            np.empty(0) if signal.is_event else numbers(table.frame, signal.column, [])
        )
        changes = np.flatnonzero(np.diff(data) != 0)
        steps = np.diff(changes)
        k = int(np.gcd.reduce(steps)) if len(steps) > 20 else 1
        if k > 1 and rows:
            rate = float(f"{rows / k:.4g}")
            reasons[signal.column] += f", each value {k} times: {rate:g} Hz"
            signal = replace(signal, rate=rate)
        result.append(signal)
    return result


def _is_electrode(name: str) -> bool:
    return bool(known([re.sub(r"(?i)^eeg[ ._]|[ ._]uv$", "", name)]))
