"""RBTransformer: attention between electrodes, on differential entropy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from physio.core.block import Array

DIMENSIONS = ("valence", "arousal", "dominance")
"""What the "affect" head tells, in this order."""


@dataclass(frozen=True)
class RBTransformerConfig:
    """Size and kind of an RBTransformer; the defaults are the published ones.

    Parameters
    ----------
    electrodes
        How many there are: one token each.
    bands
        Features of an electrode, as theta, alpha, beta, gamma.
    width
        Of a token inside the network.
    blocks, heads, head_width
        Of the attention; ``heads * head_width`` need not be ``width``.
    dropout
        Share left out in training.
    head
        ``"classes"`` as published, or ``"affect"``: mean and log of the standard
        deviation of valence, arousal and dominance.
    classes
        How many, with ``head = "classes"``.
    smoothing
        Of the labels, with ``head = "classes"``.
    """

    electrodes: int = 32
    bands: int = 4
    width: int = 128
    blocks: int = 4
    heads: int = 6
    head_width: int = 32
    dropout: float = 0.1
    head: Literal["classes", "affect"] = "classes"
    classes: int = 2
    smoothing: float = 0.12

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return 2 * len(DIMENSIONS) if self.head == "affect" else self.classes


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on a busy machine others only wait for each other.

    Sums are then in one order too, whatever the machine's cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Attention(nn.Module):
    """Every electrode looks at every electrode that is present."""

    def __init__(self, config: RBTransformerConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        inner = config.heads * config.head_width
        self.qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.drop = nn.Dropout(config.dropout)
        self.out = nn.Sequential(
            nn.Linear(inner, config.width), nn.Dropout(config.dropout)
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens mixed, (B, E, W), and who looked at whom, (B, H, E, E)."""
        b, e, _ = x.shape
        qkv = self.qkv(x).view(b, e, 3, self.heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, E, D)
        scores = q @ k.transpose(-2, -1) * self.head_width**-0.5  # (B, H, E, E)
        # A finite floor: a row without any electrode stays finite, and is not used.
        scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        maps = scores.softmax(dim=-1)
        mixed = self.drop(maps) @ v  # (B, H, E, D)
        return self.out(mixed.transpose(1, 2).reshape(b, e, -1)), maps


class Block(nn.Module):
    """Attention between electrodes, then a small network on each."""

    def __init__(self, config: RBTransformerConfig) -> None:
        super().__init__()
        width, drop = config.width, config.dropout
        self.norm1, self.attention = nn.LayerNorm(width), Attention(config)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(drop),
            nn.Linear(width, width), nn.Dropout(drop),
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens, (B, E, W), and the attention maps, (B, H, E, E)."""
        mixed, maps = self.attention(self.norm1(x), mask)
        x = x + mixed
        return x + self.mlp(self.norm2(x)), maps


class RBTransformer(nn.Module):
    """A transformer whose tokens are electrodes.

    Parameters
    ----------
    config
        Size and kind.

    Notes
    -----
    After Kumar, Bhandari and Maragatham 2025, arXiv 2511.13954. With ``head =
    "classes"`` and all electrodes present it is the published network, parameter by
    parameter. What differs:

    - The head ``"affect"`` is ours: the last layer gives a Gaussian for each of
      valence, arousal and dominance instead of classes.
    - An electrode may be missing: nobody looks at it and it is left out of the mean.
      The published network needs all of them.
    """

    heeds_spread = False
    """Whether `predict` widens with what is not yet known of the person's rest."""

    def __init__(self, config: RBTransformerConfig = RBTransformerConfig()) -> None:
        super().__init__()
        self.config = config
        width, drop = config.width, config.dropout
        self.project = nn.Linear(config.bands, width)
        self.identity = nn.Parameter(torch.randn(1, config.electrodes, width))
        self.drop = nn.Dropout(drop)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(drop),
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Dropout(drop),
            nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(drop),
            nn.Linear(width, config.outputs),
        )  # fmt: skip

    def attend(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output and who looked at whom.

        Parameters
        ----------
        x
            Differential entropy, shape (B, E, bands); anything finite where ``mask``
            is false.
        mask
            Which electrodes are present, bool, shape (B, E); by default all. A row
            needs one at least: without any, its output means nothing.

        Returns
        -------
        out
            Logits, shape (B, classes); or means, then logs of standard deviations, of
            valence, arousal and dominance, shape (B, 6).
        maps
            Attention, shape (B, blocks, heads, E, E); each row sums to 1 over the
            electrodes that are present.
        """
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        x = self.drop(self.project(x) + self.identity)  # (B, E, W)
        maps = []
        for block in self.blocks:
            x, seen = block(x, mask)
            maps.append(seen)
        here = mask[..., None].to(x.dtype)  # (B, E, 1)
        pooled = (x * here).sum(dim=1) / here.sum(dim=1).clamp(min=1)  # (B, W)
        return self.head(pooled), torch.stack(maps, dim=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the output alone: see `attend`."""
        return self.attend(x, mask)[0]

    def loss(
        self, x: Tensor, target: Tensor, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised.

        Parameters
        ----------
        x, mask
            As in `attend`.
        target
            Class numbers, shape (B,); or ratings on [-1, 1], shape (B, 3), NaN where
            there is none.

        Returns
        -------
        dict
            ``cross_entropy``; or the mean negative log likelihood (nats) of
            ``valence``, ``arousal`` and ``dominance`` over the ratings there are, 0
            where there are none.
        """
        out = self(x, mask)
        if self.config.head == "classes":
            smoothing = self.config.smoothing
            return {
                "cross_entropy": F.cross_entropy(out, target, label_smoothing=smoothing)
            }
        mean, log_sd = out.chunk(2, dim=-1)  # each (B, 3)
        known = ~target.isnan()
        off = (torch.where(known, target, mean) - mean) / log_sd.exp()
        nll = (0.5 * off**2 + log_sd + 0.5 * np.log(2 * np.pi)) * known
        terms = nll.sum(dim=0) / known.sum(dim=0).clamp(min=1)
        return dict(zip(DIMENSIONS, terms, strict=True))

    @torch.no_grad()
    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of valence, arousal and dominance.

        Parameters
        ----------
        z
            Features of one moment, electrode by electrode, shape (E * bands,). An
            electrode with a NaN among its bands is left out.
        spread
            Not used: see `heeds_spread`.

        Returns
        -------
        mean, sd
            Shape (3,) each; the first NaN of ``z`` where no electrode is present.
        """
        tokens = z.reshape(self.config.electrodes, self.config.bands)
        mask = np.array([np.isfinite(t).all() for t in tokens])
        if not mask.any():
            missing = np.full(len(DIMENSIONS), z[np.isnan(z)][0])
            return missing, missing.copy()
        x = torch.from_numpy(np.where(mask[:, None], tokens, 0).astype(np.float32))
        with one_thread():
            out = self(x[None], torch.from_numpy(mask)[None])[0]
        mean, log_sd = out.double().numpy().reshape(2, -1)
        return mean, np.exp(log_sd)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the parameters by name."""
        return {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}

    @classmethod
    def restore(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]
    ) -> Self:
        """Return the trained network that `arrays` came from, ready to predict."""
        model = cls(RBTransformerConfig(**config))
        wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        given = {k: tuple(v.shape) for k, v in arrays.items()}
        if wanted != given:
            wrong = sorted(k for k, _ in wanted.items() ^ given.items())
            raise ValueError(
                f"these weights are not of {model.config}: {', '.join(wrong)} differ"
            )
        model.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})
        return model.eval()
