"""Training of the weights of `PulseRateTracker`, without any recording with an ECG."""

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
import torch

from experiments.pulse_rate.recordings import (
    RATE,
    WristRecording,
    gap_reference,
    laboratory,
    wristbands,
)
from experiments.pulse_rate.simulation import simulated
from physio.core.block import Array
from physio.features.cardiac.pulse_evidence import RATES, scores
from physio.features.cardiac.pulse_rate_tracker import (
    PulseRateTracker,
    advance,
    at_rest,
    median_and_sd,
    newest_window,
    take_samples,
)

EVERY: Final = 6
"""Every sixth window with a reference enters the training, of gaps every second."""

TEMPERATURE: Final = 0.5
"""Factor of the fitted log-likelihood: successive windows of 8 s share 7 s."""

SIMULATED: Final = 60
"""Number of simulated recordings with a pulse wave, and of those without."""

ANSWERED: Final = 0.05
"""Largest proportion of seconds without a pulse wave that may get an answer."""

_WIDTH: Final = 2.0  # 1/min, of the target around a reference
_GAP_WIDTH: Final = 4.0  # 1/min, around an interpolated reference
_PENALTY: Final = 1e-3


Windows = tuple[Array, Array, Array, Array]
"""By window: scores of the rates, of the absence, reference, width of the target."""


def windows(recording: WristRecording, every: int) -> Windows:
    """Return the scores and the reference of windows that have a reference.

    In gaps of the maker's intervals, the reference is interpolated.

    Parameters
    ----------
    recording
        The recording.
    every
        Distance between windows (those with a reference).

    Returns
    -------
    by_rate : ndarray, shape (windows, rates, 10)
    absence : ndarray, shape (windows, 5)
    reference, width : ndarray, shape (windows,)
    """
    block = recording.block
    state = PulseRateTracker().initial_state(block.info)
    targets = _targets(recording.reference, every)
    rows: list[tuple[Array, Array, float, float]] = []
    for second in range(len(block.data) // RATE):
        take_samples(state, block.data[second * RATE : (second + 1) * RATE])
        window = newest_window(state) if second in targets else None
        if window is not None:
            rows.append((*scores(window, float(RATE)), *targets[second]))
    if not rows:
        none = np.empty(0)
        return np.empty((0, len(RATES), 10)), np.empty((0, 5)), none, none
    by_rate, absence, references, widths = zip(*rows, strict=True)
    parts = np.stack(by_rate), np.stack(absence)
    return *parts, np.array(references), np.array(widths)


def _targets(reference: Array, every: int) -> dict[int, tuple[float, float]]:
    """Return reference and width by second, from 12 s on."""
    targets = {}
    for values, width, step in (
        (gap_reference(reference), _GAP_WIDTH, max(every // 3, 1)),
        (reference, _WIDTH, every),
    ):
        known = np.flatnonzero(np.isfinite(values))
        for second in known[known >= 12][::step].tolist():
            targets[second] = float(values[second]), width
    return targets


def fit(groups: list[list[Windows]]) -> tuple[Array, Array]:
    """Return the weights that maximize the conditional likelihood of the references.

    The target is a normal density around the reference, or the absence of a pulse wave
    where it is -1. Each group has the same weight. The weights are multiplied by
    `TEMPERATURE`.
    """
    parts = [(g, part) for g in groups for part in g if len(part[2])]
    by_rate = torch.tensor(np.concatenate([p[0] for _, p in parts]), dtype=torch.float)
    absence = torch.tensor(np.concatenate([p[1] for _, p in parts]), dtype=torch.float)
    reference = np.concatenate([p[2] for _, p in parts])
    weight = np.concatenate(
        [np.full(len(p[2]), 1 / sum(len(q[2]) for q in g)) for g, p in parts]
    )
    width = np.concatenate([p[3] for _, p in parts])[:, np.newaxis]
    density = np.exp(-0.5 * ((RATES - reference[:, np.newaxis]) / width) ** 2)
    density *= (reference > 0)[:, np.newaxis]
    target = np.column_stack([density, reference < 0])
    target /= target.sum(axis=1, keepdims=True)
    goal = torch.tensor(target, dtype=torch.float)
    share = torch.tensor(weight / weight.sum(), dtype=torch.float)
    w = torch.zeros(by_rate.shape[2] + absence.shape[1], dtype=by_rate.dtype)
    w.requires_grad_()
    optimizer = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")
    split = by_rate.shape[2]

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        absent = (absence @ w[split:])[:, None]
        log = torch.log_softmax(torch.hstack([by_rate @ w[:split], absent]), 1)
        value = -(share[:, None] * goal * log).sum() + _PENALTY * (w * w).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = TEMPERATURE * w.detach().numpy().astype(np.float64)
    return fitted[:split], fitted[split:]


def absence_offset(by_rate: Array, absence: Array) -> float:
    """Return the log odds to take off the absence of a pulse wave.

    It is the largest number, in steps of 0.25, that leaves at most `ANSWERED` of the
    seconds of simulated recordings without a pulse wave with an answer.
    """
    recordings = [simulated(2000 + i, pulse=False) for i in range(SIMULATED // 2)]
    logs = []
    for recording in recordings:
        scored = windows(recording, 1)
        logs.append((scored[0] @ by_rate, scored[1] @ absence))
    offset = 0.0
    while np.mean([_answered(*log, offset + 0.25) for log in logs]) <= ANSWERED:
        offset += 0.25
    return offset


def _answered(present: Array, absent: Array, offset: float) -> float:
    """Return the proportion of seconds with a standard deviation of at most 5/min."""
    posterior = at_rest()
    answers = 0
    for log_rates, log_absent in zip(present, absent.tolist(), strict=True):
        advance(posterior, 1.0, log_rates, log_absent - offset)
        answers += median_and_sd(posterior)[1] <= 5
    return answers / len(present)


def trained(worn: list[Windows], others: list[list[Windows]]) -> dict[str, list[float]]:
    """Return the weights trained on wristbands and simulated recordings."""
    by_rate, absence = fit([worn, *others])
    absence[0] -= absence_offset(by_rate, absence)
    return {"rate": by_rate.round(4).tolist(), "absence": absence.round(4).tolist()}


def main() -> None:
    """Train on all wristbands, and on those of either laboratory; print the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    data: Path = parser.parse_args().data
    torch.set_num_threads(1)
    worn: dict[str, list[Windows]] = {}
    for recording in wristbands(data):
        worn.setdefault(laboratory(recording), []).append(windows(recording, EVERY))
    pulses = [windows(simulated(i), EVERY) for i in range(SIMULATED)]
    silent = [
        windows(simulated(1000 + i, pulse=False), EVERY) for i in range(SIMULATED)
    ]
    simulations = [pulses, silent]
    weights = {
        f"without {out}": trained([w for k in worn if k != out for w in worn[k]],
                                  simulations)
        for out in worn
    }  # fmt: skip
    weights["shipped"] = trained([w for v in worn.values() for w in v], simulations)
    print(json.dumps(weights, indent=1))


if __name__ == "__main__":
    main()
