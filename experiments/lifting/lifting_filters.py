"""Taps of causal lifting steps, and the frequency response of their sub-bands."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from physio.core.block import Array

TAPS: Final = 4
"""Taps of a lifting step."""

LEVELS: Final = 4
"""Levels of an octave tree: at 128 Hz, 32 to 64 down to 4 to 8 Hz."""

PREDICT: Final = (-1 / 16, 9 / 16, 9 / 16, -1 / 16)
"""First step: odd samples from four even ones, by a cubic."""

UPDATE: Final = (-1 / 32, 9 / 32, 9 / 32, -1 / 32)
"""Second step: it keeps the mean of the even samples."""


def lag(step: int) -> int:
    """Return the delay of the samples that a step changes, in samples of a part.

    It makes four taps symmetrical about the changed sample, without a later sample.
    """
    return TAPS // 2 if step == 0 else TAPS - 1


def wavelet(steps: int = 2, levels: int = LEVELS) -> Array:
    """Return the taps at which learning starts, shape (levels, steps, taps).

    The interpolating wavelet of Deslauriers and Dubuc with four and four taps; further
    steps are 0.
    """
    taps = np.zeros((levels, steps, TAPS))
    taps[:, 0] = PREDICT
    taps[:, 1] = UPDATE
    return taps


def powers(taps: Tensor, frequencies: Tensor) -> Tensor:
    """Return the power response of the sub-bands, shape (levels, frequencies).

    Parameters
    ----------
    taps
        Taps of the steps, shape (levels, steps, taps), with or without a gradient.
    frequencies
        Frequencies in cycles per sample of the input, shape (frequencies,).

    Notes
    -----
    A sub-band of a stationary signal has the same variance before and after samples
    are left out, so that its power is the sum of response times spectrum.
    """
    out = []
    low = torch.ones_like(frequencies, dtype=torch.complex128)
    for level in range(taps.shape[0]):
        turn = 2 * torch.pi * frequencies * 2**level
        even, odd = torch.ones_like(low), torch.exp(1j * turn)
        delays = torch.arange(taps.shape[2], dtype=turn.dtype)
        waves = torch.exp(-2j * turn[:, None] * delays)
        for step in range(taps.shape[1]):
            late = torch.exp(-2j * turn * lag(step))
            mixed = waves @ taps[level, step].to(waves.dtype)
            if step % 2 == 0:
                odd = late * odd - mixed * even
            else:
                even = late * even + mixed * odd
        out.append((low * odd).abs().square())
        low = low * even
    return torch.stack(out)
