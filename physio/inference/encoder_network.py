"""Foundation models of EEG from braindecode as encoders with a linear head."""

import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from physio.inference.braindecode_import import braindecode_models


class EncoderFacts(NamedTuple):
    """Input that a foundation model was trained on.

    Parameters
    ----------
    network
        Name of its class in braindecode.
    rate
        Sampling rate (Hz).
    unit
        Divisor of the input (uV).
    piece
        Samples of a piece, of which a window has a whole number.
    channels
        Largest number of channels; 0: any.
    published
        Repositories of published weights that braindecode's documentation names.
    """

    network: str
    rate: float
    unit: float
    piece: int
    channels: int
    published: tuple[str, ...]


ENCODERS: Final = {
    "cbramod": EncoderFacts(
        "CBraMod", 200.0, 100.0, 200, 0, ("braindecode/cbramod-pretrained",)
    ),
    "eegdino": EncoderFacts(
        "EEGDINO", 200.0, 100.0, 200, 19,
        ("braindecode/eegdino-small-pretrained",
         "braindecode/eegdino-medium-pretrained"),
    ),
}  # fmt: skip
"""The foundation models: CBraMod (Wang et al. 2025), EEG-DINO (Wang et al. 2025)."""


class EncoderNetwork(nn.Module):
    """An encoder, whose output is averaged over electrodes and time, and a head.

    Parameters
    ----------
    encoder
        Name of the encoder, of `ENCODERS`.
    n_chans, n_times, n_outputs
        Channels and samples of a window, and number of outputs.
    settings
        Further settings of the class of braindecode.

    Raises
    ------
    ValueError
        If the encoder is unknown, or braindecode is not installed.
    """

    def __init__(
        self,
        encoder: str,
        n_chans: int,
        n_times: int,
        n_outputs: int,
        settings: Mapping[str, Any] = {},
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(
                f"encoder = {encoder!r} must be one of {', '.join(ENCODERS)}"
            )
        facts = ENCODERS[encoder]
        shape = {"n_chans": n_chans, "n_times": n_times, "sfreq": facts.rate}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of usual sizes and rates
            build = getattr(braindecode_models(), facts.network)
            self.encoder = build(**settings, **shape, return_encoder_output=True)
        self.encoder.eval()
        with torch.no_grad():
            width = self.encode(torch.zeros(1, n_chans, n_times)).shape[1]
        self.final_layer = nn.Linear(width, n_outputs)

    def encode(self, x: Tensor) -> Tensor:
        """Return the embedding of windows, (batch, width), of (batch, channels, n)."""
        out: Tensor = self.encoder(x)
        return out if out.ndim == 2 else out.mean(dim=tuple(range(1, out.ndim - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of the head, (batch, outputs)."""
        out: Tensor = self.final_layer(self.encode(x))
        return out

    def loaded(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return parameters of a file of the encoder alone by their names here."""
        return {f"encoder.{name}": value for name, value in parameters.items()}
