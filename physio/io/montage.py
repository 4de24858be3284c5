"""Positions of electrodes by their names in the 10-05 system."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from physio.core.block import Array

MONTAGE: Final = "colin27_1005"

_ALIKE: Final = {"cb1": "po9", "cb2": "po10"}
"""Replacements of SEED's cerebellar electrodes, which the 10-05 system lacks."""

_REFERENCES: Final = (
    r"(?:ref|le|ar|avg?|car|common|nose|linked|[am][12]|a1\+?a2|m1\+?m2|cpz|fcz|afz)"
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
    keys = _keys(names)
    if lacking := [n for n, key in zip(names, keys, strict=True) if key not in known]:
        raise ValueError(
            f"the position of the electrode {lacking[0]!r} is unknown: names are those "
            f"of the 10-05 system, as in MNE's {MONTAGE}"
        )
    return np.array([known[key] for key in keys]).reshape(len(keys), 3)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """Return the electrodes whose position is known, in their order."""
    at = _known()
    return tuple(n for n, key in zip(names, _keys(names), strict=True) if key in at)


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
    key = re.sub(r"^eeg[ _]+", "", label.strip().lower()).rstrip(". ")
    match = re.fullmatch(rf"([a-z]+\d*[a-z]?) ?[-:/_ ] ?{_REFERENCES}", key)
    if match and match[1] not in _LOBES:
        key = match[1]
    return _ALIKE.get(key, key)


def _keys(names: Sequence[str]) -> list[str]:
    """Return the names by which positions are looked up; empty for BioSemi's."""
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
