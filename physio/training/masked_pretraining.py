"""Self-supervised pretraining: reconstruction of the features of masked electrodes."""

import torch
from torch import Tensor, nn

from physio.core.block import Array
from physio.models.rbtransformer import (
    RBTransformer,
    RBTransformerConfig,
    single_thread,
)
from physio.training.trainer import TrainingConfig

_HIDDEN = 0.5


class MaskedPretrainer(nn.Module):
    """Network without its head, with a layer that reconstructs features of tokens.

    Parameters
    ----------
    model
        Network whose blocks are trained.
    """

    def __init__(self, model: RBTransformer) -> None:
        super().__init__()
        self.model = model
        self.hidden = nn.Parameter(torch.zeros(model.config.bands))
        self.tell = nn.Linear(model.config.width, model.config.bands)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return the features, (B, E, bands), predicted for ``hidden``, (B, E)."""
        tokens = self.model.embed(torch.where(hidden[..., None], self.hidden, x))
        for block in self.model.blocks:
            tokens, _ = block(tokens, None)
        predicted: Tensor = self.tell(tokens)
        return predicted


def fit(
    config: RBTransformerConfig, x: Array, schedule: TrainingConfig, seed: int
) -> RBTransformer:
    """Return a network that was trained to predict the features of masked electrodes.

    In each step, a random half of each window's electrodes is masked, and the mean
    squared error of their features is minimised. The head keeps its initial weights.

    Parameters
    ----------
    config
        Size and kind of the network.
    x
        Features, shape (n, E, bands), none NaN.
    schedule
        Training settings: epochs, first batch size, learning rates and weight decay.
    seed
        Seed of all random numbers.
    """
    with single_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        guesser = MaskedPretrainer(RBTransformer(config)).train()
        optimizer = torch.optim.AdamW(
            guesser.parameters(), lr=schedule.rate, weight_decay=schedule.decay,
            fused=True,
        )  # fmt: skip
        windows = torch.as_tensor(x, dtype=torch.float32)
        for epoch in range(schedule.epochs):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate_of(epoch)
            order = torch.randperm(len(windows))
            for rows in torch.split(order, schedule.batches[0]):
                part = windows[rows]
                hidden = torch.rand(part.shape[:2]) < _HIDDEN
                optimizer.zero_grad()
                off = (guesser(part, hidden) - part)[hidden]
                torch.autograd.backward(off.square().mean())
                optimizer.step()
    return guesser.model.eval()
