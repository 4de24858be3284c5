"""Network whose estimate is read off a map of prototypes of valence and arousal."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it

CENTRES: Final = (-0.8, -0.4, 0.0, 0.4, 0.8)
"""Centres of the bins of valence and of arousal, 0.4 apart; the outer are open."""

_EDGES: Final = (-0.6, -0.2, 0.2, 0.6)
_SMALLEST: Final = 1e-9


class PrototypeNetwork(nn.Module):
    """Encoder with a plain head, which a map of its embeddings replaces once trained.

    A prototype is the mean of the unit embeddings of the training rows in one of 5 x 5
    bins of valence and arousal; that of an empty bin is the mean of the nearest. The
    estimate is the mean of the bins, weighted by the softmax of the cosines to the
    prototypes, on a line that is fitted to the training rows. After Li et al. 2025
    (arXiv 2509.11916), where prototypes teach another network and are not read out;
    the line is an addition. It is no better than the plain head
    (experiments/prototypes); it says where on the map a moment is.

    Parameters
    ----------
    n_features
        Number of features.
    n_outputs
        2: valence and arousal.
    width, size
        Units of the hidden layer and of the embedding.
    dropout
        Proportion of hidden units that are dropped in training.
    tau
        Temperature of the softmax.

    Raises
    ------
    ValueError
        If the targets are not two.
    """

    positions: Tensor
    slope: Tensor
    level: Tensor
    rows: Tensor

    def __init__(
        self,
        n_features: int,
        n_outputs: int = 2,
        width: int = 64,
        size: int = 32,
        dropout: float = 0.2,
        tau: float = 0.1,
    ) -> None:
        super().__init__()
        if n_outputs != 2:
            raise ValueError(
                f"a map of valence and arousal has two targets, not {n_outputs}: set "
                'ratings = ["valence", "arousal"]'
            )
        self.tau = tau
        self.encoder = nn.Sequential(
            nn.Linear(n_features, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, size),
        )
        self.final_layer = nn.Linear(size, n_outputs)
        self.register_buffer("positions", torch.zeros(len(CENTRES) ** 2, size))
        self.register_buffer("slope", torch.ones(2))
        self.register_buffer("level", torch.zeros(2))
        self.register_buffer("rows", torch.zeros(len(CENTRES) ** 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return valence and arousal, shape (n, 2): of the plain head in training."""
        embedded = self.encoder(x)
        if self.training or not bool(self.rows.any()):
            plain: Tensor = self.final_layer(embedded)
            return plain
        return self.slope * (self.weights(embedded) @ grid(x.device)) + self.level

    def weights(self, embedded: Tensor) -> Tensor:
        """Return the weight of each bin, shape (n, 25); they sum to 1."""
        likeness = F.normalize(embedded, dim=1) @ self.positions.T
        return (likeness / self.tau).softmax(dim=1)

    def place(self, x: Tensor) -> Tensor:
        """Return where moments are on the map, shape (n, 5, 5): valence, arousal."""
        return self.weights(self.encoder(x)).reshape(-1, len(CENTRES), len(CENTRES))

    @torch.no_grad()
    def complete(self, x: Tensor, y: Tensor) -> None:
        """Draw the map from training rows, (n, f), with ratings on [-1, 1], (n, 2).

        Without a row that has both ratings, the plain head stays.
        """
        known = y.isfinite().all(dim=1)
        if not known.any():
            return
        centres = grid(x.device)
        embedded, y = self.encoder(x[known]), y[known]
        edges = torch.tensor(_EDGES, device=x.device)
        bins = torch.bucketize(y, edges, right=True)
        at = bins[:, 0] * len(CENTRES) + bins[:, 1]
        self.rows = torch.bincount(at, minlength=len(self.positions)).float()
        total = torch.zeros_like(self.positions)
        total.index_add_(0, at, F.normalize(embedded, dim=1))
        positions, full = F.normalize(total, dim=1), self.rows > 0
        for k in torch.nonzero(~full)[:, 0].tolist():
            far = (centres - centres[k]).norm(dim=1)
            near = full & (far <= far[full].min() + 1e-6)
            positions[k] = F.normalize(positions[near].mean(dim=0), dim=0)
        self.positions = positions
        middle = self.weights(embedded) @ centres
        off = middle - middle.mean(dim=0)
        spread = off.square().mean(dim=0).clamp_min(_SMALLEST)
        self.slope = (off * (y - y.mean(dim=0))).mean(dim=0) / spread
        self.level = y.mean(dim=0) - self.slope * middle.mean(dim=0)


def grid(device: torch.device) -> Tensor:
    """Return valence and arousal of each bin, shape (25, 2)."""
    centres = torch.tensor(CENTRES, device=device)
    return torch.cartesian_prod(centres, centres)
