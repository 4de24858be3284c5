"""Hemispheric asymmetry and front-to-back differences of EEG."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage

Rows = npt.NDArray[np.intp]

PAIRS: Final = (
    ("Fp1", "Fp2"),
    ("AF3", "AF4"),
    ("F7", "F8"),
    ("F3", "F4"),
    ("FC5", "FC6"),
    ("FC1", "FC2"),
    ("T7", "T8"),
    ("C3", "C4"),
    ("CP5", "CP6"),
    ("CP1", "CP2"),
    ("P7", "P8"),
    ("P3", "P4"),
    ("PO3", "PO4"),
    ("O1", "O2"),
)
"""Symmetric pairs of left and right electrodes among the 32 of DEAP."""

FRONT_BACK: Final = (
    ("Fp1", "O1"),
    ("Fp2", "O2"),
    ("F3", "P3"),
    ("Fz", "Pz"),
    ("F4", "P4"),
)
"""Pairs of frontal and posterior electrodes on one line from front to back."""

FRONTAL: Final = (("F3", "F4"), ("AF3", "AF4"), ("F7", "F8"))
"""Pairs for the frontal asymmetry; the first pair that is present is used."""

_POOR: Final = MissingReason.POOR_QUALITY.nan
_MIN_ENTROPY: Final = 0.1  # bit; a ratio to less is missing


class Comparisons(NamedTuple):
    """Columns to compare, shape (2, n) for each kind."""

    differences: Rows
    ratios: Rows
    caudality: Rows
    frontal: Rows


@dataclass(frozen=True)
class Asymmetry(Stage):
    """Left-right asymmetry and front-back differences; follows `DifferentialEntropy`.

    ``dasm.<band>.<left>-<right>``: difference of entropies (bit);
    ``rasm.<band>.<left>-<right>``: their ratio; ``dcau.<band>.<front>-<back>``: front
    less back (bit); ``frontal.<right>-<left>``: ln alpha power at the right electrode
    minus that at the left one, for the first pair of `FRONTAL` that is present.

    Parameters
    ----------
    pairs, courses
        Pairs of electrodes to compare; pairs that are not present are left out.
    ratios
        Compute ratios as well.

    Notes
    -----
    After [1]_. A ratio to an entropy below 0.1 bit is missing (poor quality): in bits
    of uV^2, an entropy of 0 does not mean the absence of a signal. Entropy being half
    the binary logarithm of power, the frontal index is ``2 ln 2`` times a difference of
    entropies. It is one of many proposed indices and its relation to valence is weak
    [2]_. No delay.

    dasm = DE(left) - DE(right), rasm = DE(left) / DE(right), dcau = DE(front) -
    DE(back). Shape (n, entropies) to (n, pairs and bands). Deviation from [1]_:
    entropies are of running filters, and windows overlap.

    References
    ----------
    .. [1] Duan, Zhu & Lu, Differential entropy feature for EEG-based emotion
       classification, IEEE/EMBS Conference on Neural Engineering 2013.
    .. [2] Kuper, Kaeckenmester & Wacker, Resting frontal EEG asymmetry and personality
       traits: a meta-analysis, European Journal of Personality 33, 2019.
    """

    pairs: tuple[tuple[str, str], ...] = PAIRS
    courses: tuple[tuple[str, str], ...] = FRONT_BACK
    ratios: bool = True

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each comparison."""
        sides = self.initial_state(info)
        channels = []
        for kind, unit, rows in (
            ("dasm", "bit", sides.differences),
            ("rasm", "1", sides.ratios),
            ("dcau", "bit", sides.caudality),
            ("frontal", "1", sides.frontal),
        ):
            for a, b in rows.T:
                minuend, subtrahend = info.channels[a], info.channels[b]
                _, band, first = minuend.name.split(".", 2)
                second = subtrahend.name.split(".", 2)[2]
                prefix = kind if kind == "frontal" else f"{kind}.{band}"
                delay = max(minuend.delay, subtrahend.delay)
                memory = max(minuend.memory, subtrahend.memory)
                name = f"{prefix}.{first}-{second}"
                channels.append(Channel(name, "eeg", unit, delay, memory))
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> Comparisons:
        """Return the columns that are compared."""
        at = {name: i for i, name in enumerate(info.names) if name.startswith("de.")}
        bands = list(dict.fromkeys(name.split(".", 2)[1] for name in at))
        if not bands:
            raise ValueError(
                f"asymmetry is read from entropies: put DifferentialEntropy before it; "
                f"{info.name!r} has {', '.join(info.names)}"
            )

        def rows(pairs: tuple[tuple[str, str], ...], over: list[str]) -> Rows:
            names = ((f"de.{b}.{x}", f"de.{b}.{y}") for b in over for x, y in pairs)
            present = [(at[x], at[y]) for x, y in names if x in at and y in at]
            return np.array(present, np.intp).reshape(len(present), 2).T

        differences = rows(self.pairs, bands)
        courses = rows(self.courses, bands)
        if not differences.size and not courses.size:
            raise ValueError(
                f"{info.name!r} has no two electrodes that mirror each other among "
                f"{', '.join(name for name in at)}"
            )
        swapped = tuple((b, a) for a, b in FRONTAL)
        frontal = rows(swapped, ["alpha"])[:, :1]
        ratios = differences if self.ratios else differences[:, :0]
        return Comparisons(differences, ratios, courses, frontal)

    def process(self, state: Comparisons, x: Array) -> Array:
        """Compare the columns of ``x``."""
        numerator, denominator = x[:, state.ratios[0]], x[:, state.ratios[1]]
        small = np.abs(denominator) < _MIN_ENTROPY
        ratio = np.where(small, _POOR, numerator / np.where(small, 1.0, denominator))
        parts = [
            _difference(x, state.differences),
            _missing(_missing(ratio, denominator), numerator),
            _difference(x, state.caudality),
            2 * np.log(2) * _difference(x, state.frontal),
        ]
        parts[3] = _missing(parts[3], _difference(x, state.frontal))
        return np.hstack(parts)


def _difference(x: Array, rows: Rows) -> Array:
    """Return the difference of two columns, missing where either is missing."""
    a, b = x[:, rows[0]], x[:, rows[1]]
    return _missing(_missing(a - b, b), a)


def _missing(y: Array, source: Array) -> Array:
    """Return ``y``, missing wherever its source is missing, for the same reason."""
    return np.where(np.isnan(source), source, y)
