"""Learner of a head on a frozen foundation model of EEG."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from physio.inference.encoder_network import ENCODERS
from physio.inference.torch_model import TorchModel
from physio.training.learner import ProgressOf, Samples
from physio.training.torch_learner import TorchLearner


@dataclass(frozen=True)
class EncoderLearner:
    """Learner of a linear head on the embeddings of a frozen encoder.

    Parameters
    ----------
    encoder
        ``cbramod`` or ``eegdino``: they read windows of whole seconds at 200 Hz, in uV.
    weights
        Safetensors file of the encoder, the user's download; without one, the encoder
        has random weights, which is a control for the published ones.
    settings
        Further settings of the class of braindecode, as the published weights need.
    epochs, batch, rate, decay
        Number of epochs, batch size, initial learning rate and weight decay of the
        head.
    device
        Device of torch; by default the GPU where there is one.
    """

    files: ClassVar[tuple[str, ...]] = ("weights",)

    encoder: Literal["cbramod", "eegdino"] = "cbramod"
    weights: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 50
    batch: int = 64
    rate: float = 1e-2
    decay: float = 1e-2
    device: str = ""
    _store: Path | None = field(default=None, repr=False, compare=False)

    def resuming(self, folder: Path) -> Self:
        """Return a copy that stores its epochs in a folder, and resumes from them."""
        return replace(self, _store=folder)

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        name = ENCODERS[self.encoder].network
        file = Path(self.weights).name
        source = f"those of {file}" if file else "random: they saw no EEG"
        head = self._head().trained_on(samples)
        return f"The parameters of the encoder {name} are {source}; of its head: {head}"

    def fit(self, samples: Samples, progress: ProgressOf) -> TorchModel:
        """Return the fitted model: see `physio.training.learner.Learner`.

        Raises
        ------
        ValueError
            If the samples are no windows that the encoder reads.
        """
        self._require(samples)
        return self._head().fit(samples, progress)

    def _head(self) -> TorchLearner:
        """Return the learner of the head."""
        head = TorchLearner(
            "physio.inference.encoder_network:EncoderNetwork",
            {"encoder": self.encoder, "settings": dict(self.settings)},
            self.epochs,
            self.batch,
            self.rate,
            self.decay,
            frozen=True,
            begin=self.weights,
            unit=ENCODERS[self.encoder].unit,
            device=self.device,
        )
        return head if self._store is None else head.resuming(self._store)

    def _require(self, samples: Samples) -> None:
        """Raise ValueError unless the encoder reads the samples."""
        facts = ENCODERS[self.encoder]
        name, second = facts.network, facts.piece
        if samples.x.ndim != 3:
            raise ValueError(
                f"{name} reads windows of a signal: give window in [features]"
            )
        channels, times = samples.x.shape[1:]
        if samples.rate != facts.rate or times % second:
            raise ValueError(
                f"{name} reads windows of whole seconds at {facts.rate:g} Hz, not "
                f"{times} samples at {samples.rate:g} Hz: put a stage "
                f"physio.dsp.resample:Resample with rate = {facts.rate:g} before "
                "NewestSamples, and give a window of whole seconds"
            )
        if facts.channels and channels > facts.channels:
            raise ValueError(
                f"{name} reads {facts.channels} channels at most, not {channels}: "
                "select channels with a stage physio.dsp.select_channels:SelectChannels"
            )
