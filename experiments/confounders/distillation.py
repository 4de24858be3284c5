"""Self-distillation for missing features: the complete view teaches the masked one."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData

Lesson = Literal["complete", "masked", "taught"]
LESSONS: Final[tuple[Lesson, ...]] = ("complete", "masked", "taught")

_WIDTH: Final = 32
_EPOCHS: Final = 15
_BATCH: Final = 128
_WEIGHT: Final = 0.5  # of each loss of the teacher; not tuned


class _Net(nn.Module):
    """Encoder of features and of which are present, a head, and a decoder."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(2 * features, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, _WIDTH)
        )
        self.head = nn.Sequential(nn.GELU(), nn.Dropout(0.2), nn.Linear(_WIDTH, 1))
        self.decoder = nn.Linear(_WIDTH, features)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return representation, (n, w), and logits, (n,), of features with NaN."""
        present = torch.isfinite(z)
        view = torch.cat([torch.nan_to_num(z), present.float()], dim=1)
        code = self.encoder(view)
        return code, self.head(code)[:, 0]


@dataclass(frozen=True)
class DistilledNetwork:
    """Small network on features, some of which may be missing.

    Lessons: ``complete``: rows as they are; ``masked``: also with features hidden, each
    row at its rate; ``taught``: the masked view also approaches the complete view's
    representation (cosine), output (divergence) and hidden features (smooth L1), after
    MSSD of CIDer (arXiv 2506.10452). Both views enter one step, so that no gradient is
    counted twice; the teacher receives no gradient.

    Parameters
    ----------
    features
        Columns of the table, relative to the person's rest.
    lesson
        Views of the training.
    """

    features: tuple[str, ...]
    lesson: Lesson

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = given.table[list(self.features)].to_numpy(np.float64)
        mean, sd = np.nanmean(x[train], axis=0), np.nanstd(x[train], axis=0)
        z = ((x - mean) / np.maximum(sd, 1e-9)).astype(np.float32)
        y = np.asarray(given.y[train], np.float32)
        net = _trained(self.lesson, z[train].tobytes(), y.tobytes(), given.seed)
        with torch.no_grad():
            p = torch.sigmoid(net(torch.tensor(z[test]))[1]).double().numpy()
        return np.stack([1 - p, p], axis=1)


@lru_cache(maxsize=64)
def _trained(lesson: Lesson, features: bytes, classes: bytes, seed: int) -> _Net:
    """Return the network of some training rows; equal ones are trained once."""
    y = torch.tensor(np.frombuffer(classes, np.float32))
    z = torch.tensor(np.frombuffer(features, np.float32).reshape(len(y), -1))
    torch.manual_seed(seed)
    net = _Net(z.shape[1])
    descent = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(y))
        for k in range(0, len(y) - _BATCH + 1, _BATCH):
            at = order[k : k + _BATCH]
            loss = _loss(net, z[at], y[at], lesson)
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
    return net.eval()


def _loss(net: _Net, z: Tensor, y: Tensor, lesson: Lesson) -> Tensor:
    code, logit = net(z)
    loss = functional.binary_cross_entropy_with_logits(logit, y)
    if lesson == "complete":
        return loss
    hidden = torch.rand(z.shape) < torch.rand(len(z), 1)
    partial, guess = net(z.masked_fill(hidden, torch.nan))
    loss = loss + functional.binary_cross_entropy_with_logits(guess, y)
    if lesson == "masked":
        return loss
    near = 1 - functional.cosine_similarity(partial, code.detach()).mean()
    same = functional.binary_cross_entropy_with_logits(
        guess, torch.sigmoid(logit.detach())
    )
    decoded = net.decoder(partial)[hidden & torch.isfinite(z)]
    target = z[hidden & torch.isfinite(z)]
    again = functional.smooth_l1_loss(decoded, target)
    return loss + _WEIGHT * (near + same + again)
