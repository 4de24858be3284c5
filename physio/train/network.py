"""Fitting a network by gradient descent: the same seed gives the same weights."""

import torch

from physio.core.block import Array
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig, one_thread


def fit(
    config: RBTransformerConfig,
    tokens: Array,
    ratings: Array,
    epochs: int,
    seed: int,
    batch: int = 256,
    missing: float = 0.1,
) -> RBTransformer:
    """Fit an RBTransformer to ratings.

    AdamW with the published rate and decay and a cosine down to nothing, the named
    terms of the loss added up; the last epoch counts.

    Parameters
    ----------
    config
        Size and kind.
    tokens
        Features of each moment, shape (n, E, bands), none NaN.
    ratings
        Shape (n, 3), NaN where there is none.
    epochs
        How often each moment is seen.
    seed
        Of the first weights, the order and the dropout.
    batch
        Moments in a step.
    missing
        Share of electrodes left out at random, so that the network learns to do
        without.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RBTransformer(config).train()
        steps = epochs * -(-len(tokens) // batch)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        x = torch.from_numpy(tokens).float()
        y = torch.from_numpy(ratings).float()
        for _ in range(epochs):
            order = torch.randperm(len(x))
            for i in range(0, len(x), batch):
                rows = order[i : i + batch]
                mask = torch.rand(len(rows), config.electrodes) >= missing
                mask[:, 0] |= ~mask.any(dim=1)
                optimizer.zero_grad()
                terms = model.loss(x[rows], y[rows], mask)
                total = torch.stack(list(terms.values())).sum()
                torch.autograd.backward(total)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
    return model.eval()
