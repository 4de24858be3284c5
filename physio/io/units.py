"""Units in the spellings of devices and files."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from unicodedata import normalize

import numpy as np

from physio.core.block import Array

LONGEST: Final = 64
"""Maximum number of characters of a unit or a label."""


class UnitReading(NamedTuple):
    """Unit of a channel, and the factor that converts its values to it.

    ``assumed`` is True if the description states no unit and the usual unit of the
    channel's kind is used instead.
    """

    unit: str
    factor: float = 1.0
    assumed: bool = False


class _Known(NamedTuple):
    quantity: str
    exponent: int
    unit: str


def _multiples(quantity: str, symbols: str, names: str) -> dict[str, _Known]:
    """Return the spellings, in lower case, of a unit and its decimal multiples."""
    table = {}
    for prefix, word, exponent in (
        *(("", "", 0), ("m", "milli", -3), ("u", "micro", -6), ("n", "nano", -9)),
        *(("p", "pico", -12), ("k", "kilo", 3)),
    ):
        known = _Known(quantity, exponent, f"{prefix}{quantity}")
        for symbol in symbols.split():
            table[f"{prefix}{symbol}"] = known
            if symbol != "s":  # "millis" is a unit of time
                table[f"{word}{symbol}"] = known
        for name in names.split():
            table |= {f"{prefix}{name}": known, f"{word}{name}": known}
    return table


def _same(
    unit: str, spellings: str, exponent: int = 0, quantity: str = ""
) -> dict[str, _Known]:
    return {s: _Known(quantity or unit, exponent, unit) for s in spellings.split()}


_SIEMENS: Final = _multiples("S", "s", "siemens siemen mho mhos")
"""Spellings of conductance; short ones, as ``us``, can also mean a time."""

_KNOWN: Final[dict[str, _Known]] = {
    **{key: known for key, known in _SIEMENS.items() if len(key) > 2},
    **_multiples("V", "v", "volt volts"),
    **_multiples("Ohm", "ohm ohms \N{GREEK SMALL LETTER OMEGA}", ""),
    **_same("g", "g gs g-force gforce"),
    **_same("mg", "mg mgs milli-g millig", -3, "g"),
    **_same(
        "m/s^2",
        "m/s^2 m/s2 m/s/s m/s**2 ms-2 ms^-2 m.s-2 m*s-2 m/sec2 m/sec^2"
        " m/(s^2) m/(sec^2)",
    ),
    **_same("degC", "c degc celsius centigrade degcelsius degreecelsius"),
    **_same("degC", "degreescelsius degreec degreesc"),
    **_same("degF", "f degf fahrenheit degfahrenheit degreesfahrenheit"),
    **_same("K", "k kelvin degk"),
    **_same("1/min", "1/min /min bpm beats/min beatsperminute min-1 min^-1 rpm"),
    **_same("deg/s", "deg/s dps degrees/s deg/sec degs/s degree/s degreespersecond"),
    **_same("mdeg/s", "mdps mdeg/s millidps", -3, "deg/s"),
    **_same("rad/s", "rad/s rad/sec radian/s radians/s"),
    **_same("Hz", "hz hertz"),
    **_same("s", "s sec secs second seconds"),
    **_same("ms", "ms msec msecs millisecond milliseconds", -3, "s"),
    **_same("us", "us usec usecs microsecond microseconds", -6, "s"),
    **_same("%", "% percent percentage pct"),
    **_same("counts", "counts count adc lsb raw digit digits adccounts bit bits"),
    **_same("1", "1 a.u. au a.u arb arb. arbitrary arbitraryunits unitless"),
    **_same("1", "dimensionless"),
}

_GRAVITY: Final = 9.80665
"""Standard acceleration of gravity (m/s^2)."""

_NO_UNIT: Final = frozenset(
    ("", "na", "n/a", "nan", "none", "null", "unknown", "unspecified", "undefined")
) | {"-", "--", "?", "."}

_SI: Final = frozenset({"uV", "uS"})
"""Usual units that are 1e-6 of the SI unit, to which a bare power of ten refers."""

_MU: Final = ("\x83\xca", "\xc2\xb5", "\xce\xbc", "\xb5", "\u03bc", "\ufffd")
"""The micro sign, including its forms after decoding errors."""


def decode_unit(field: bytes) -> str:
    """Return the text of a unit field, in UTF-8, Latin-1 or Shift-JIS."""
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return field.decode("latin-1")


def plain(text: str) -> str:
    """Return a unit without padding and brackets, with ``u`` for micro."""
    for sign in _MU[:-1]:
        text = text.replace(sign, "u")
    text = normalize("NFKC", "".join(c for c in text if c.isprintable())).strip()
    text = text.replace("\u03bc", "u").replace("\N{DEGREE SIGN}", "deg")
    if match := re.fullmatch(r"\[(.*)\]|\((.*)\)", text):
        text = (match[1] or match[2] or "").strip()
    return text[:LONGEST]


def quantity(text: str) -> str:
    """Return the base unit of a spelling's quantity, as ``"V"``; empty if unknown."""
    known = _find(plain(text), "")
    return known.quantity if known else ""


def read_unit(text: str, usual: str = "1") -> UnitReading:
    """Return the unit in a description, and the factor of its values.

    Parameters
    ----------
    text
        Unit in the description: ``"microvolts"``, ``"\N{MICRO SIGN}V"``, ``"-6"``, or
        an empty text.
    usual
        Unit of this package for the channel's kind, as ``"uV"``.

    Returns
    -------
    UnitReading
        Decimal multiples of the usual unit are converted to it. All other units,
        including unknown ones, are unchanged, with factor 1. Without a unit the usual
        one is assumed.

    Notes
    -----
    A bare power of ten, as ``-6``, refers to the SI unit of the kind (volts, siemens),
    as in MNE-LSL. ``S`` means siemens and ``s`` seconds; if the usual unit is a
    conductance, both mean siemens.
    """
    text = plain(text)
    if text.lower() in _NO_UNIT:
        return UnitReading(usual, assumed=usual != "1")
    if text != "1" and re.fullmatch(r"[+-]?\d{1,2}", text):
        if usual in _SI:
            return UnitReading(usual, float(f"1e{int(text) + 6}"))
        return UnitReading(usual if int(text) == 0 else f"1e{text}")
    known = _find(text, usual)
    if known is None:
        return UnitReading(text)
    target = _find(usual, usual)
    if target is None or target.quantity != known.quantity or usual in ("1", "counts"):
        return UnitReading(known.unit)
    factor = float(f"1e{known.exponent - target.exponent}")
    return UnitReading(usual, factor)


def _find(text: str, usual: str) -> _Known | None:
    """Return the entry of a spelling; the case distinguishes siemens from seconds."""
    key = text.lower().replace(" ", "").replace("_", "")
    siemens = text in ("S", "mS", "uS", "nS") or usual == "uS"
    return (_SIEMENS.get(key) if siemens else None) or _KNOWN.get(key)


def unit_note(name: str, text: str, usual: str, channels: Sequence[str]) -> str:
    """Return a note on a missing or unknown unit; empty for a known one.

    Parameters
    ----------
    name, channels
        Name of the stream, and its channels with the unit ``text``.
    text, usual
        As in `read_unit`.
    """
    reading = read_unit(text, usual)
    more = f" and {len(channels) - 8} more" if len(channels) > 8 else ""
    names = ", ".join(channels[:8]) + more
    if reading.assumed:
        return (
            f"{name} states no unit for {names}: values are taken as {usual}, "
            "unscaled (if they are not, state the unit in the stream's description or "
            "in a table [channels])"
        )
    if usual != "1" and reading.unit != usual and quantity(text) in ("", *NEUTRAL):
        return (
            f"{name} states the unit {reading.unit!r} for {names}, which does not "
            f"convert to {usual}: values stay as they are (state the unit, as {usual}, "
            "in the stream's description or in a table [channels])"
        )
    return ""


NEUTRAL: Final = ("1", "counts")
"""Units of numbers that measure no physical quantity."""


def convert_unit(values: Array, text: str, usual: str) -> tuple[Array, str]:
    """Return values in the usual unit of their kind, and their unit.

    Parameters
    ----------
    values
        Numbers of any shape, in the unit ``text``.
    text, usual
        As in `read_unit`.

    Returns
    -------
    ndarray, str
        Besides decimal multiples, resistance is converted to conductance (not above 0:
        NaN), m/s^2 to g, degF and K to degC, and rad/s to deg/s. Values in any other
        unit are unchanged and keep it.
    """
    unit, factor, _ = read_unit(text, usual)
    if usual == "1" and unit in NEUTRAL:
        return values, usual
    if unit == usual:
        # 820 / 1000 is 0.82; 820 * 0.001 is not.
        return values / round(1 / factor) if factor < 1 else values * factor, usual
    known = _find(plain(text), usual)
    if known is None:
        return values, unit
    match known.quantity, usual:
        case "Ohm", "uS":
            ohms = np.where(values > 0, values, np.nan) * float(f"1e{known.exponent}")
            return 1e6 / ohms, usual
        case "m/s^2", "g":
            return values / _GRAVITY, usual
        case "degF", "degC":
            return (values - 32) / 1.8, usual
        case "K", "degC":
            return values - 273.15, usual
        case "rad/s", "deg/s":
            return np.degrees(values), usual
    return values, unit
