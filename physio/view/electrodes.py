"""Positions of electrodes on a head seen from above."""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=1)
def electrode_positions() -> dict[str, tuple[float, float]]:
    """Return electrode positions by name in lower case, on a head of radius 1.

    The azimuthal equidistant projection of MNE's template positions: the angle from the
    vertex is the radius.
    """
    import mne

    standard = mne.channels.make_standard_montage("colin27_1005")
    places = standard.get_positions()["ch_pos"]
    positions = {}
    for name, (x, y, z) in places.items():
        size = float(np.sqrt(x * x + y * y + (z - 0.03) ** 2))
        angle = float(np.arccos(np.clip((z - 0.03) / size, -1, 1)))
        turned = float(np.arctan2(y, x))
        r = angle / (np.pi / 2) * 0.9
        positions[name.lower()] = (r * np.cos(turned), r * np.sin(turned))
    return positions
