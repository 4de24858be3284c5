"""Positions of electrodes by their names in the 10-05 system."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from physio.core.block import Array

MONTAGE: Final = "colin27_1005"

_ALIKE: Final = {"cb1": "po9", "cb2": "po10"}
"""Replacements of SEED's cerebellar electrodes, which the 10-05 system lacks."""


def places(names: Sequence[str]) -> Array:
    """Return the positions of electrodes on the unit sphere, shape (n, 3).

    Parameters
    ----------
    names
        Of the electrodes, upper or lower case: ``Fp1``, ``FPZ``, ``T3`` or ``T7``.

    Returns
    -------
    ndarray
        To the right, to the front, and up.

    Raises
    ------
    ValueError
        If one is not in the 10-05 system.

    Notes
    -----
    MNE's template head; the sphere's centre is that which fits all its electrodes best.
    ``CB1`` and ``CB2`` of SEED's cap are taken for ``PO9`` and ``PO10``.
    """
    known = _known()
    keys = [_ALIKE.get(name.lower(), name.lower()) for name in names]
    if lacking := [n for n, key in zip(names, keys, strict=True) if key not in known]:
        raise ValueError(
            f"the position of the electrode {lacking[0]!r} is unknown: names are those "
            f"of the 10-05 system, as in MNE's {MONTAGE}"
        )
    return np.array([known[key] for key in keys]).reshape(len(keys), 3)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """Return the electrodes whose position is known, in their order."""
    at = _known()
    return tuple(n for n in names if _ALIKE.get(n.lower(), n.lower()) in at)


def nearest(names: Sequence[str], among: Sequence[str]) -> list[int]:
    """Return the index in ``among`` of the electrode nearest to each of ``names``.

    Raises
    ------
    ValueError
        If one is not in the 10-05 system.
    """
    close = places(names) @ places(among).T  # cosines of the angles between
    return [int(i) for i in close.argmax(axis=1)]


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
