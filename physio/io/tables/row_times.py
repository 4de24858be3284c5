"""Times of the rows of a table, and the rate at which they were sampled."""

import re
from collections.abc import Sequence
from datetime import UTC
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from physio.core.block import Array
from physio.io.tables.text_table import to_numbers

if TYPE_CHECKING:
    import pandas as pd

_FACTORS: Final = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}
_EPOCH: Final = (1e9, 4e9)  # Unix seconds from 2001 to 2096
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:[.,:](\d+))?")
_DAY: Final = 86_400.0
_NICE: Final = (
    *(0.1, 0.2, 0.25, 0.5, 1, 2, 4, 5, 8, 10, 12.5, 15, 16, 20, 25, 30, 32, 40, 50),
    *(51.2, 52, 60, 64, 75, 80, 100, 104, 120, 125, 128, 130, 135, 150, 160, 176),
    *(200, 204.8, 220, 240, 250, 256, 300, 320, 360, 400, 416, 480, 500, 512, 600),
    *(700, 750, 800, 833, 1000, 1024, 1200, 1250, 1500, 2000, 2048, 2500, 4000, 4096),
    *(5000, 8000, 8192, 10_000, 16_384, 20_000),
)
"""Usual sampling rates (Hz)."""


class RowTimes(NamedTuple):
    """Times of the rows of a table.

    Parameters
    ----------
    seconds
        Time of each row since ``origin`` (s), shape (n,); NaN where there is none.
    origin
        Time of second 0 (s): of the Unix clock if ``is_unix``, else of the table's.
    is_unix
        Whether ``origin`` is a time of the Unix clock.
    unit
        Unit of the column, as in `TIME_UNITS`; given, or derived from the values.
    certain
        Whether unit and clock follow from the values or were given.
    """

    seconds: Array
    origin: float
    is_unix: bool
    unit: str
    certain: bool = True


def read_times(
    frame: "pd.DataFrame", columns: Sequence[str], unit: str = "", zone: str = ""
) -> RowTimes:
    """Return the times in columns of a table.

    Numbers are Unix times if they are those of 2001 or later in s, ms, us or ns, else
    times since an unknown moment. Texts are dates with or without zone, or times of
    day, which are continued after midnight.

    Raises
    ------
    ValueError
        If a column is missing, or holds no times.
    """
    import pandas as pd

    for column in columns:
        if column not in frame.columns:
            raise ValueError(
                f"there is no column {column!r} of times; the table has "
                f"{', '.join(map(str, frame.columns[:20]))}"
            )
    values = frame[columns[0]]
    if len(columns) > 1:
        texts = frame[list(columns)].astype(str)
        return _of_texts(texts.agg(" ".join, axis=1), columns, zone)
    if values.dtype == object and unit in ("", "iso"):
        numbers = pd.Series(to_numbers(values), index=values.index)
        if unit == "iso" or numbers.notna().sum() < values.notna().sum() / 2:
            return _of_texts(values.astype(str), columns, zone)
        values = numbers
    return _of_numbers(values, columns[0], unit)


def _of_numbers(values: "pd.Series[Any]", column: str, unit: str) -> RowTimes:
    import pandas as pd

    if values.dtype == object:
        values = pd.Series(to_numbers(values), index=values.index)
    numbers = values.to_numpy()
    finite = np.flatnonzero(np.isfinite(numbers))
    if not len(finite):
        raise ValueError(f"the column {column!r} holds no times")
    first = numbers[finite[0]].item()
    typical = float(np.median(np.abs(numbers[finite].astype(np.float64))))
    by_size = next(
        (u for u, f in _FACTORS.items() if _EPOCH[0] * f < typical < _EPOCH[1] * f), ""
    )
    if unit == "days":
        seconds = (numbers.astype(np.float64) - first) * _DAY
        return RowTimes(seconds, float(first) * _DAY, is_unix=False, unit=unit)
    chosen = unit or by_size or unit_in_name(column)
    certain = bool(chosen)
    if not chosen:
        steps = np.diff(numbers[finite].astype(np.float64))
        step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        whole = bool((numbers[finite] == np.floor(numbers[finite])).all())
        chosen = "s" if step < 1 or not whole else "ms"
        certain = step < 1 and not whole
    factor = _FACTORS[chosen]
    # Differences first: nanoseconds since 1970 exceed the 53 bits of a float.
    seconds = (numbers - numbers.dtype.type(first)).astype(np.float64) / factor
    is_unix = by_size == chosen
    return RowTimes(seconds, first / factor, is_unix, chosen, certain)


def unit_in_name(name: str) -> str:
    """Return the unit of time that a column's name states; empty for none."""
    key = name.lower().replace("\N{MICRO SIGN}", "u").replace("\u03bc", "u")
    words = re.split(r"[^a-z]+", key)
    for unit, spellings in (
        ("ns", ("ns", "nanos", "nanoseconds", "nsec")),
        ("us", ("us", "micros", "microseconds", "usec")),
        ("ms", ("ms", "millis", "milliseconds", "msec", "millisecond", "milli")),
        ("s", ("s", "sec", "secs", "seconds", "second")),
    ):
        if any(word in words for word in spellings):
            return unit
    return ""


def _of_texts(texts: "pd.Series[str]", columns: Sequence[str], zone: str) -> RowTimes:
    import pandas as pd

    sample = texts[~texts.isin(("nan", "", "None"))].iloc[:50].str.strip()
    if len(sample) and sample.str.fullmatch(_CLOCK.pattern).mean() > 0.5:
        return _of_clock(texts.str.strip())
    cleaned = (
        texts.str.strip()
        .str.replace(",", ".", regex=False)
        .str.replace(r"(\d)[ T]+(\d{1,2}:\d{2}:\d{2}):(\d+)", r"\1 \2.\3", regex=True)
    )
    times = pd.to_datetime(cleaned, format="ISO8601", errors="coerce", utc=True)
    for separator, order in ((r"[-/.]", "ymd"), (r"[-/.]", "dmy"), (r"/", "mdy")):
        if times.notna().sum() >= len(sample) / 2 and times.notna().any():
            break
        parts = cleaned.str.extract(
            rf"^(\d+){separator}(\d+){separator}(\d+)[T ]+(.*)$"
        )
        place = {key: i for i, key in enumerate(order)}
        iso = (
            parts[place["y"]] + "-" + parts[place["m"]].str.zfill(2) + "-"
            + parts[place["d"]].str.zfill(2) + " " + parts[3].str.zfill(8)
        )  # fmt: skip
        times = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True)
    if not times.notna().any():
        raise ValueError(
            f"the column {columns[0]!r} holds no dates or times, such as "
            f"{str(next(iter(texts), ''))[:40]!r}"
        )
    zoned = sample.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})\s*$", regex=True).all()
    if zone and not zoned:
        local = times.dt.tz_localize(None).dt.tz_localize(
            ZoneInfo(zone), ambiguous="NaT", nonexistent="shift_forward"
        )
        times = local.dt.tz_convert(UTC)
    first = times[times.first_valid_index()]
    seconds = np.asarray((times - first).dt.total_seconds(), np.float64)
    return RowTimes(seconds, first.timestamp(), bool(zoned or zone), "iso")


def _of_clock(texts: "pd.Series[str]") -> RowTimes:
    """Return the times of day since the first, continued after midnight."""
    parts = texts.str.extract(rf"^{_CLOCK.pattern}$")
    hours, minutes = parts[0].astype(float), parts[1].astype(float)
    fraction = ("0." + parts[3].fillna("0")).astype(float)
    of_day = hours * 3600 + minutes * 60 + parts[2].fillna("0").astype(float) + fraction
    seconds = np.array(of_day, np.float64)
    valid = np.flatnonzero(np.isfinite(seconds))
    days = np.cumsum(np.diff(seconds[valid], prepend=seconds[valid[0]]) < -_DAY / 2)
    seconds[valid] += days * _DAY
    first = float(seconds[valid[0]])
    return RowTimes(
        np.asarray(seconds - first, np.float64), first, is_unix=False, unit="iso"
    )


def estimate_rate(times: Array) -> Fraction:
    """Return the rate of samples with these times (Hz), a usual one if it is near.

    Losses, bursts with equal or nearly equal stamps, and times rounded to a millisecond
    do not change it; it is 0 for fewer than two distinct times.

    Parameters
    ----------
    times
        Times of the samples (s), shape (n,), rising but for single jumps.
    """
    steps = np.diff(times)
    positive = steps[steps > 0]
    if not len(positive):
        return Fraction(0)
    reach = max(1, min(len(steps) // 8, 1000))
    spans = times[reach:] - times[:-reach]
    spans = spans[spans > 0]
    middle = float(np.median(spans)) if len(spans) else 0.0
    near = spans[np.abs(spans - middle) <= 0.25 * middle] / reach
    period = float(near.mean() if len(near) else positive.mean())
    usual = float(np.median(steps))
    near = steps[(steps > 0.45 * usual) & (steps < 1.45 * usual)]
    if usual > 0 and len(near) > len(steps) / 2 and near.mean() > 0.7 * period:
        period = float(near.mean())  # without scattered losses
    rate = 1 / period
    nearest = min(_NICE, key=lambda r: abs(r / rate - 1))
    if abs(nearest / rate - 1) < 0.006:
        return Fraction(str(nearest))
    return Fraction(f"{rate:.4g}")
