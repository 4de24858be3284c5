"""Diagonal state-space layer, as a convolution and as a recurrence."""

import math

import torch
from torch import Tensor, nn


class DiagonalStateSpace(nn.Module):
    """Linear memory of each channel with real, stable, diagonal states.

    Each state of a channel follows it with a time constant of its own,
    ``h <- a h + (1 - a) u``; the output is their weighted sum plus a share of the
    input. Training uses the convolution with the impulse response, a session the
    recurrence.

    Parameters
    ----------
    channels, states
        Number of channels, and of states of each.
    longest
        Longest time constant at the beginning (steps); the shortest is one step.
    """

    def __init__(self, channels: int, states: int = 4, longest: float = 60.0) -> None:
        super().__init__()
        tau = torch.logspace(0.0, math.log10(longest), states)
        self.log_tau = nn.Parameter(tau.log().repeat(channels, 1))
        self.read = nn.Parameter(torch.randn(channels, states) / math.sqrt(states))
        self.skip = nn.Parameter(torch.ones(channels))

    @property
    def decay(self) -> Tensor:
        """Proportion of each state that remains after a step, in (0, 1)."""
        return torch.exp(-torch.exp(-self.log_tau))

    def forward(self, u: Tensor) -> Tensor:
        """Return the output for whole sequences, shape (batch, time, channels)."""
        n, a = u.shape[1], self.decay
        steps = torch.arange(n, dtype=a.dtype)
        response = torch.einsum(
            "cs,cst->ct", self.read * (1 - a), a[..., None] ** steps
        )
        size = 2 * n
        product = torch.fft.rfft(u.mT, size) * torch.fft.rfft(response, size)
        return torch.fft.irfft(product, size)[..., :n].mT + self.skip * u

    def begin(self, batch: int) -> Tensor:
        """Return the state before the first step, shape (batch, channels, states)."""
        return torch.zeros(batch, *self.log_tau.shape, dtype=self.log_tau.dtype)

    def step(self, state: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state and the output after a step of shape (batch, channels)."""
        a = self.decay
        state = a * state + (1 - a) * u[..., None]
        return state, (self.read * state).sum(-1) + self.skip * u
