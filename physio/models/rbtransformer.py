"""RBTransformer: attention between electrodes on their differential entropy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from math import factorial
from threading import Lock, local
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.models.base import Model, Numbers, OnnxNetwork
from physio.models.onnx_graph import graph


@dataclass(frozen=True)
class RBTransformerConfig:
    """Settings of an RBTransformer; the defaults are the published ones.

    Parameters
    ----------
    electrodes
        Number of electrodes, with one token each.
    bands
        Number of features of an electrode, as theta, alpha, beta, gamma.
    width
        Width of a token inside the network.
    blocks, heads, head_width
        Size of the attention; ``heads * head_width`` need not be ``width``.
    dropout
        Proportion dropped in training.
    head
        ``"classes"`` as published, or ``"affect"``: mean and log of the standard
        deviation of valence, arousal and dominance.
    classes
        Number of classes, with ``head = "classes"``.
    smoothing
        Label smoothing, with ``head = "classes"``.
    embedding
        Electrode embedding: ``"learned"``, a vector per electrode as published;
        ``"place"``, computed from the position on the head, so that the same weights
        run on other electrodes; or ``"none"``.
    places
        With ``embedding = "place"``: positions of the electrodes, as points of the unit
        sphere (right, front, up).
    attention
        Whether there is attention between electrodes.
    pooling
        Input of the head: the ``mean`` over electrodes, as published, or all of them
        ``flat``, concatenated.
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
    embedding: Literal["learned", "place", "none"] = "learned"
    places: tuple[tuple[float, float, float], ...] = ()
    attention: bool = True
    pooling: Literal["mean", "flat"] = "mean"

    def __post_init__(self) -> None:
        places = tuple((float(x), float(y), float(z)) for x, y, z in self.places)
        object.__setattr__(self, "places", places)  # JSON has lists
        wanted = self.electrodes if self.embedding == "place" else 0
        if len(places) != wanted:
            raise ValueError(
                f"{self.electrodes} electrodes with embedding = {self.embedding!r} "
                f"need {wanted} places, not {len(places)}"
            )

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return 2 * len(DIMENSIONS) if self.head == "affect" else self.classes


def predicted(
    outputs: Callable[[Numbers, Numbers], Numbers],
    config: RBTransformerConfig,
    z: Array,
) -> tuple[Array, Array]:
    """Return the prediction of an affect head whose outputs ``outputs`` computes."""
    tokens = z.reshape(config.electrodes, config.bands)
    mask: Any = np.isfinite(tokens).all(axis=1)
    if not mask.any():
        missing = np.full(len(DIMENSIONS), z[np.isnan(z)][0])
        return missing, missing.copy()
    x = np.where(mask[:, None], tokens, 0).astype(np.float32)
    mean, log_sd = outputs(x[None], mask[None]).astype(np.float64).reshape(2, -1)
    return mean, np.exp(log_sd)


@contextmanager
def single_thread() -> Iterator[None]:
    """Restrict torch to one thread, which is faster on a busy machine.

    Sums then have the same order whatever the number of cores. Python threads may be
    inside together, without waiting for each other: the last one restores the number.
    """
    with _LOCK:
        threads = torch.get_num_threads()  # of this Python thread, in part
        if not _INSIDE.count and (threads > 1 or not _REDUCED.is_set):
            _INSIDE.threads = threads
        _INSIDE.count, _REDUCED.is_set = _INSIDE.count + 1, True
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.count -= 1
            if not _INSIDE.count:
                torch.set_num_threads(_INSIDE.threads)
                _REDUCED.is_set = False


@dataclass
class _Inside:
    """Number of entries into `single_thread`, and torch's threads before the first."""

    count: int = 0
    threads: int = 1


class _Reduced(local):
    """State of a Python thread: whether it was left with one thread of torch."""

    is_set = False


_LOCK, _INSIDE, _REDUCED = Lock(), _Inside(), _Reduced()


def random_bits(n: int) -> Tensor:
    """Return ``n`` times 16 random bits, int16, from torch's generator."""
    drawn = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)
    return drawn.view(torch.int16)[:n]


class Dropout(nn.Module):
    """Dropout as of `torch.nn.Dropout`, but faster on a CPU.

    Parameters
    ----------
    p
        Proportion dropped, rounded to a multiple of 1/65536.

    Notes
    -----
    `torch.nn.Dropout` draws a random number per value; here four values share 64 random
    bits. ``bits`` can store bits that a training loop draws for all layers together;
    ``size`` is the number of values of the last input.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.steps, self.size = round(p * 65536), 0
        self.bits: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``; in training, set some values to 0 and scale up the others."""
        if not self.training or not self.steps:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.steps / 65536)
        n = self.size = x.numel()
        bits = self.bits if self.bits is not None else random_bits(n)
        keep = bits[:n].view(x.shape) >= self.steps - 32768
        return x * (keep * (65536 / (65536 - self.steps))).to(x.dtype)


class Place(nn.Module):
    """Electrode embedding from the position on the head, the same for any headset.

    Notes
    -----
    A small network maps the coordinates and their first two harmonics to the embedding.
    Neighbouring positions have similar embeddings, and new positions are interpolated.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(15, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, places: Tensor) -> Tensor:
        """Return the embedding, (E, W), of points on the unit sphere, (E, 3)."""
        waves = [
            f(k * torch.pi * places) for k in (0.5, 1) for f in (torch.sin, torch.cos)
        ]
        embedding: Tensor = self.mlp(torch.cat([places, *waves], dim=-1))
        return embedding


class Attention(nn.Module):
    """Multi-head attention of every electrode to every electrode that is present."""

    def __init__(self, config: RBTransformerConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        inner = config.heads * config.head_width
        self.qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.drop = Dropout(config.dropout)
        self.out = nn.Sequential(
            nn.Linear(inner, config.width), Dropout(config.dropout)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mixed tokens, (B, E, W), and the attention maps, (B, H, E, E)."""
        b, e, _ = x.shape
        qkv = self.qkv(x).view(b, e, 3, self.heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, E, D)
        scores = (q * self.head_width**-0.5) @ k.transpose(-2, -1)  # (B, H, E, E)
        if mask is not None:
            # The finite floor keeps rows without any electrode finite; they are unused.
            scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        maps = scores.softmax(dim=-1)
        mixed = self.drop(maps) @ v  # (B, H, E, D)
        return self.out(mixed.transpose(1, 2).reshape(b, e, -1)), maps


class AttentionBlock(nn.Module):
    """Attention between electrodes, then a feed-forward network on each."""

    def __init__(self, config: RBTransformerConfig) -> None:
        super().__init__()
        width, drop = config.width, config.dropout
        self.mixes = config.attention
        if self.mixes:
            self.norm1, self.attention = nn.LayerNorm(width), Attention(config)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), Dropout(drop),
            nn.Linear(width, width), Dropout(drop),
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the tokens, (B, E, W), and the attention maps, (B, H, E, E)."""
        maps = x.new_empty(len(x), 0, x.shape[1], x.shape[1])
        if self.mixes:
            mixed, maps = self.attention(self.norm1(x), mask)
            x = x + mixed
        return x + self.mlp(self.norm2(x)), maps


class RBTransformer(nn.Module, Model):
    """Transformer whose tokens are electrodes.

    Parameters
    ----------
    config
        Settings.

    Notes
    -----
    After Kumar, Bhandari and Maragatham 2025, arXiv 2511.13954. With ``head =
    "classes"`` and all electrodes present it is the published network, parameter by
    parameter. Differences:

    - The head ``"affect"`` is added: the last layer gives a Gaussian for each of
      valence, arousal and dominance instead of classes.
    - An electrode may be missing: it is masked in the attention and left out of the
      mean. The published network needs all of them.
    - ``embedding = "place"`` is added: see `for_montage`.
    - The dropout proportion is a multiple of 1/65536: 0.1 is 0.100006.
    """

    uses_baseline_uncertainty = False

    def __init__(self, config: RBTransformerConfig = RBTransformerConfig()) -> None:
        super().__init__()
        self.config = config
        width, drop = config.width, config.dropout
        self.project = nn.Linear(config.bands, width)
        if config.embedding == "learned":
            self.identity = nn.Parameter(torch.randn(1, config.electrodes, width))
        if config.embedding == "place":
            self.place = Place(width)
            places = torch.tensor(config.places)
            self.register_buffer("places", places, persistent=False)
        self.drop = Dropout(drop)
        self.blocks = nn.ModuleList(
            AttentionBlock(config) for _ in range(config.blocks)
        )
        flat = config.electrodes if config.pooling == "flat" else 1
        self.head = nn.Sequential(
            nn.LayerNorm(flat * width),
            nn.Linear(flat * width, 2 * width), nn.GELU(), Dropout(drop),
            nn.Linear(2 * width, 2 * width), nn.GELU(), Dropout(drop),
            nn.Linear(2 * width, width), nn.GELU(), Dropout(drop),
            nn.Linear(width, config.outputs),
        )  # fmt: skip

    def embed(self, x: Tensor) -> Tensor:
        """Return the tokens, (B, E, W), that enter the first block."""
        tokens: Tensor = self.project(x)
        if self.config.embedding == "learned":
            tokens = tokens + self.identity
        if self.config.embedding == "place":
            tokens = tokens + self.place(self.places)
        return self.drop(tokens)

    def answer(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return the output, (B, outputs), of the head on the last tokens."""
        if mask is not None:
            x = x * mask[..., None]
        if self.config.pooling == "flat":
            return self.head(x.flatten(1))
        n = x.shape[1] if mask is None else mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.head(x.sum(dim=1) / n)

    def attend(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output and the attention maps.

        Parameters
        ----------
        x
            Differential entropy, shape (B, E, bands); any finite value where ``mask``
            is false.
        mask
            Mask of the electrodes that are present, bool, shape (B, E); by default all.
            A row needs at least one: without any, its output is meaningless.

        Returns
        -------
        out
            Logits, shape (B, classes); or means, then logs of standard deviations, of
            valence, arousal and dominance, shape (B, 6).
        maps
            Attention, shape (B, blocks, heads, E, E); each row sums to 1 over the
            electrodes that are present. The maps describe the network's inputs, not
            connectivity of the brain.
        """
        tokens, maps = self.embed(x), []
        for block in self.blocks:
            tokens, attention = block(tokens, mask)
            maps.append(attention)
        return self.answer(tokens, mask), torch.stack(maps, dim=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the output alone: see `attend`."""
        tokens = self.embed(x)
        for block in self.blocks:
            tokens, _ = block(tokens, mask)
        return self.answer(tokens, mask)

    def loss(
        self, x: Tensor, target: Tensor, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised.

        Parameters
        ----------
        x, mask
            As in `attend`.
        target
            Class indices, shape (B,); or ratings on [-1, 1], shape (B, 3), NaN where
            missing.

        Returns
        -------
        dict
            ``cross_entropy``; or the mean negative log likelihood (nats) of
            ``valence``, ``arousal`` and ``dominance`` over the ratings that are not
            missing, 0 if all are missing.
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

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of valence, arousal and dominance.

        Parameters
        ----------
        z
            Features of one moment, electrode by electrode, shape (E * bands,). An
            electrode with a NaN in any band is left out.
        spread
            Not used: see `uses_baseline_uncertainty`.

        Returns
        -------
        mean, sd
            Shape (3,) each; the first NaN of ``z`` where no electrode is present.
        """
        return self.predict_by(self.outputs, z)

    def predict_by(
        self, outputs: Callable[[Numbers, Numbers], Numbers], z: Array
    ) -> tuple[Array, Array]:
        """Return the results of `predict`, with the network run by ``outputs``."""
        return predicted(outputs, self.config, z)

    @torch.no_grad()
    def outputs(self, x: Numbers, mask: Numbers) -> Numbers:
        """Return the outputs for tokens and a mask, as arrays, on one thread."""
        with single_thread():
            return self(torch.from_numpy(x), torch.from_numpy(mask)).numpy()

    def for_montage(self, places: Sequence[Sequence[float]]) -> "RBTransformer":
        """Return this network for other electrodes, with the same weights.

        Parameters
        ----------
        places
            Positions of the electrodes: points of the unit sphere (right, front, up).

        Raises
        ------
        ValueError
            If the embedding depends on the electrode's index, not on its position.
        """
        if not self.fits_any_montage(vars(self.config)):
            raise ValueError(
                "only a network with embedding = 'place' and pooling = 'mean' runs on "
                f"other electrodes; this one has {self.config.embedding!r} and "
                f"{self.config.pooling!r}"
            )
        points = tuple((x, y, z) for x, y, z in places)
        other = RBTransformer(
            replace(self.config, electrodes=len(points), places=points)
        )
        other.load_state_dict(self.state_dict())
        return other.train(self.training)

    @classmethod
    def fits_any_montage(cls, config: Mapping[str, Any]) -> bool:
        """Return whether electrodes are embedded by their positions."""
        return config.get("embedding") == "place" and config.get("pooling") == "mean"

    def to_onnx(self) -> OnnxNetwork | None:
        """Return the network with the affect head as ONNX graphs, else None."""
        if self.config.head != "affect":
            return None
        return OnnxNetwork(graph(self), graph(self, complete=True), self.predict_by)

    @torch.no_grad()
    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Return the results of `predict`, and the contribution of each band.

        Returns
        -------
        mean, sd
            As `predict`.
        parts
            Shapley value of each band, over all sets of bands, relative to the
            participant's baseline, distributed equally over the electrodes; shape (3,
            E * bands). The sum is the mean minus the mean at the baseline.
        """
        bands, size = self.config.bands, self.config.electrodes
        parts = np.zeros((len(DIMENSIONS), size, bands))
        tokens = z.reshape(size, bands)
        mask = np.array([np.isfinite(t).all() for t in tokens])
        if not mask.any():
            return *self.predict(z, spread), parts.reshape(len(DIMENSIONS), -1)
        sets = np.array(list(product((0.0, 1.0), repeat=bands)))
        x = np.where(mask[:, None], tokens, 0) * sets[:, None, :]
        present = torch.from_numpy(np.tile(mask, (len(sets), 1)))
        with single_thread():
            out = self(torch.from_numpy(x.astype(np.float32)), present)
        worth, log_sd = np.hsplit(out.double().numpy(), 2)
        for b in range(bands):
            given = np.flatnonzero(sets[:, b] == 1)
            others = sets[given].sum(axis=1).astype(int) - 1
            orders = [factorial(k) * factorial(bands - 1 - k) for k in others]
            gains = worth[given] - worth[given - 2 ** (bands - 1 - b)]
            shapley = np.array(orders) @ gains / factorial(bands)
            parts[:, mask, b] = shapley[:, None] / mask.sum()
        return worth[-1], np.exp(log_sd[-1]), parts.reshape(len(DIMENSIONS), -1)

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
