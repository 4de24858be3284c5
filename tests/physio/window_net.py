"""A network on windows, outside of the package."""

import torch
from torch import nn


class Net(nn.Module):
    """Mean and spread of each channel, and a linear layer."""

    def __init__(self, n_chans: int, n_outputs: int) -> None:
        super().__init__()
        self.final_layer = nn.Linear(2 * n_chans, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = torch.cat([x.mean(-1), x.std(-1)], dim=1)
        return self.final_layer(parts)
