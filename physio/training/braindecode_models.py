"""Published networks on raw signal windows, from braindecode, for evaluations."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData
from physio.inference.braindecode_import import braindecode_models
from physio.models.rbtransformer import single_thread

_SHOWN = 256  # windows in a batch of inference


@dataclass(frozen=True)
class BraindecodeModel:
    """Classifier with a network of braindecode on windows of the signal.

    Parameters
    ----------
    network
        ``EEGNet`` (Lawhern et al. 2018) or ``ShallowFBCSPNet`` (Schirrmeister et al.
        2017).
    epochs, batch, rate, decay
        Number of epochs, batch size, initial learning rate and weight decay of AdamW,
        with a cosine schedule down to 0.

    Notes
    -----
    `FoldData.x` must be windows, shape (n, channels, samples).
    """

    network: Literal["EEGNet", "ShallowFBCSPNet"] = "EEGNet"
    epochs: int = 15
    batch: int = 64
    rate: float = 1e-3
    decay: float = 1e-2

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the classes, shape (test rows, classes)."""
        if np.ndim(given.x) != 3:
            raise ValueError(
                f"{self.network} reads windows of the signal, channels by samples, not "
                f"rows of shape {np.shape(given.x)[1:]}"
            )
        train, test = given.fold.train, given.fold.test
        with single_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(given.seed)
            channels, samples = given.x.shape[1:]
            model = self._network(channels, len(given.classes), samples)
            self._fit(model.train(), given.x[train], given.y[train])
            model.eval()
            with torch.no_grad():
                parts = [
                    model(torch.as_tensor(given.x[rows], dtype=torch.float32))
                    for rows in np.array_split(test, -(-len(test) // _SHOWN))
                ]
        return torch.cat(parts).softmax(dim=1).double().numpy()

    def _network(self, channels: int, classes: int, samples: int) -> Any:
        models = braindecode_models()
        make = getattr(models, self.network)
        settings: dict[str, Any] = {
            "n_chans": channels,
            "n_outputs": classes,
            "n_times": samples,
        }
        if make is models.ShallowFBCSPNet:
            # The default last layer spans 30 steps, as of longer windows.
            settings["final_conv_length"] = "auto"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(**settings)

    def _fit(self, model: Any, x: Array, y: Any) -> None:
        windows = torch.as_tensor(x, dtype=torch.float32)
        targets = torch.as_tensor(y, dtype=torch.int64)
        steps = self.epochs * -(-len(windows) // self.batch)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.rate, weight_decay=self.decay, fused=True
        )
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(self.epochs):
            order = torch.randperm(len(windows))
            for rows in torch.split(order, self.batch):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(windows[rows]), targets[rows])
                torch.autograd.backward(loss)
                optimizer.step()
                cosine.step()
