"""Positions of electrodes by their names in the 10-05 system."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np

from physio.core.block import Array, StreamInfo

MONTAGE: Final = "colin27_1005"

_ALIKE: Final = {"cb1": "po9", "cb2": "po10"}
"""Replacements of SEED's cerebellar electrodes, which the 10-05 system lacks."""

_REFERENCES: Final = (
    r"(?:ref\d?|le|lm|ar|avg?|aver(?:age)?|car|common|nose"
    r"|linked(?: ?(?:ears|mastoids))?"
    r"|[am][12]|\(?a1 ?\+? ?a2\)?(?:/2)?|\(?m1 ?\+? ?m2\)?(?:/2)?|cpz|fcz|afz"
    r"|cms(?:/drl)?)"
)
_LOBES: Final = frozenset(("a1", "a2", "m1", "m2"))
_BIOSEMI: Final = re.compile(r"a([3-9]|[12]\d|3[0-2])|b([1-9]|[12]\d|3[0-2])")
"""Names found only on BioSemi's caps, where ``A1`` and ``C3`` are other positions."""


def places(names: Sequence[str]) -> Array:
    """Return the positions of electrodes on the unit sphere, shape (n, 3).

    Parameters
    ----------
    names
        Names of the electrodes, in upper or lower case: ``Fp1``, ``FPZ``, ``T3`` or
        ``T7``.

    Returns
    -------
    ndarray
        Coordinates to the right, to the front, and upwards.

    Raises
    ------
    ValueError
        If one is not in the 10-05 system.

    Notes
    -----
    Positions are from MNE's template head; the centre of the sphere is the best fit to
    all its electrodes. ``CB1`` and ``CB2`` of SEED's cap are taken for ``PO9`` and
    ``PO10``. A prefix ``EEG``, trailing dots, and a reference as in ``Fp1-REF``,
    ``Fp1-A1`` or ``Fp1:M1`` do not change the position; bipolar channels such as
    ``Fp1-F7`` have no position. The names of BioSemi's own numbering, ``A1`` to
    ``H32``, are not of the 10-05 system.
    """
    known = _known()
    keys = electrodes(names)
    if lacking := [n for n, key in zip(names, keys, strict=True) if key not in known]:
        raise ValueError(
            f"the position of the electrode {lacking[0]!r} is unknown: names are those "
            f"of the 10-05 system, as in MNE's {MONTAGE}"
        )
    return np.array([known[key] for key in keys]).reshape(len(keys), 3)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """Return the electrodes whose position is known, in their order."""
    at = _known()
    return tuple(
        n for n, key in zip(names, electrodes(names), strict=True) if key in at
    )


def nearest(names: Sequence[str], among: Sequence[str]) -> list[int]:
    """Return the index in ``among`` of the electrode nearest to each of ``names``.

    Raises
    ------
    ValueError
        If one is not in the 10-05 system.
    """
    close = places(names) @ places(among).T  # cosines of the angles between
    return [int(i) for i in close.argmax(axis=1)]


def electrode(label: str) -> str:
    """Return the electrode of a label, in lower case, without its reference."""
    key, _ = _split(label)
    return _ALIKE.get(key, key)


def reference(label: str) -> str:
    """Return the reference that a label states, ``"M2"`` of ``Fp1-M2``, or ""."""
    return _split(label)[1]


def with_references(info: StreamInfo) -> StreamInfo:
    """Return a stream whose electrodes have the reference that their labels state.

    If all labels state the same one, it is that of the stream too. A reference that is
    no usual one, as in ``E1-Cz``, counts if at least three electrodes state it alike.
    """
    eeg = [c for c in info.channels if c.kind == "eeg"]
    common = _common([c.name for c in eeg])
    channels = tuple(
        replace(c, reference=c.reference or reference(c.name) or common)
        if c.kind == "eeg"
        else c
        for c in info.channels
    )
    stated = {c.reference for c in channels if c.kind == "eeg"}
    only = stated.pop() if len(stated) == 1 else ""
    return replace(info, channels=channels, reference=info.reference or only)


def cap(name: str) -> tuple[str, ...]:
    """Return the electrodes of one of MNE's montages, in the order of its cap.

    Raises
    ------
    ValueError
        If there is no such montage, or its electrodes are not in the 10-05 system.
    """
    import mne

    available = mne.channels.get_builtin_montages()
    if name not in available:
        raise ValueError(
            f"there is no montage {name!r}; MNE has {', '.join(sorted(available))}"
        )
    names = tuple(mne.channels.make_standard_montage(name).ch_names)
    if lacking := set(names) - set(known(names)):
        raise ValueError(
            f"the montage {name!r} has positions outside the 10-05 system, as "
            f"{min(lacking)}: rename the channels instead"
        )
    return names


def cap_numbers(names: Sequence[str]) -> list[int | None]:
    """Return the number in the cap, from 0, of BioSemi's names ``A1`` to ``H32``."""
    matches = [re.fullmatch(r"([A-H])(\d{1,2})", name.strip()) for name in names]
    return [32 * (ord(m[1]) - ord("A")) + int(m[2]) - 1 if m else None for m in matches]


def _split(label: str) -> tuple[str, str]:
    """Return the electrode of a label, in lower case, and its usual reference."""
    prefix = r"^(eeg[ _\-.:]*|pol[ _\-]+)(?=[a-z])"
    text = re.sub(prefix, "", label.strip(), flags=re.IGNORECASE).rstrip(". -")
    pattern = rf"([a-z]+\d*[a-z]?) ?[-:/_ ] ?({_REFERENCES})"
    match = re.fullmatch(pattern, text, re.IGNORECASE) or re.fullmatch(
        r"([a-z]{1,3}(?:\d{1,2}|z))((?:[am][12]){1,2})", text, re.IGNORECASE
    )
    if match and match[1].lower() not in _LOBES:
        return match[1].lower(), match[2]
    return text.lower(), ""


def _common(names: Sequence[str]) -> str:
    """Return the electrode that all of at least three labels end with, or ""."""
    pairs = [re.fullmatch(r"(.*[^-])-([A-Za-z]+\d*)", name.strip()) for name in names]
    second = {m[2].lower(): m[2] for m in pairs if m}
    if len(names) < 3 or len(second) != 1 or not all(pairs):
        return ""
    return next(iter(second.values()))


def electrodes(names: Sequence[str]) -> list[str]:
    """Return the electrode of each label, in lower case; empty for BioSemi's names."""
    if common := _common(names):
        names = [name.strip().removesuffix(f"-{common}") for name in names]
    keys = [electrode(name) for name in names]
    if any(_BIOSEMI.fullmatch(key) for key in keys):
        return ["" if re.fullmatch(r"[a-h]\d{1,2}", key) else key for key in keys]
    return keys


@cache
def _known() -> dict[str, Array]:
    import mne

    montage = mne.channels.make_standard_montage(MONTAGE)
    points = montage.get_positions()["ch_pos"]
    at = np.array(list(points.values()))
    # |p - c|^2 = r^2 is linear in c and r^2 - |c|^2.
    sides = np.column_stack([2 * at, np.ones(len(at))])
    centre = np.linalg.lstsq(sides, (at**2).sum(axis=1), rcond=None)[0][:3]
    return {
        name.lower(): (p - centre) / np.linalg.norm(p - centre)
        for name, p in points.items()
    }
