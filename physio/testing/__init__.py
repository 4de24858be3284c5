"""Checks of the laws on classes outside the package, and simulated data.

Each check runs the laws of ``tests/laws`` on one object and raises AssertionError with
a sentence that names the law and the difference. Nothing needs pytest:

>>> from physio.testing import FakeDataset, check_dataset
>>> check_dataset(FakeDataset(n_participants=2))
"""

from collections.abc import Mapping, Sequence
from typing import Any

from physio.core.block import Array, StreamInfo
from physio.core.protocols import Device, Sink
from physio.core.stage import Stage
from physio.datasets.base import Dataset
from physio.testing.dataset_laws import DatasetLaws
from physio.testing.device_laws import SECONDS, DeviceLaws, builder
from physio.testing.fake_dataset import FakeDataset
from physio.testing.model_laws import model_laws
from physio.testing.sink_laws import SinkLaws
from physio.testing.stage_laws import StageLaws

__all__ = [
    "FakeDataset",
    "check_dataset",
    "check_device",
    "check_model",
    "check_sink",
    "check_stage",
]


def check_stage(
    stage: Stage, info: StreamInfo, *, signal: Array | None = None, seed: int = 0
) -> None:
    """Check the laws of a stage: blocks, gaps, NaN, state, reset, settings.

    Parameters
    ----------
    stage
        The stage, of a class at the top of a module.
    info
        An input stream that it accepts.
    signal
        Samples of the stream, shape (n, channels); by default an example of 240 s or
        310 s for the kind of its channels. It must be longer than the stage remembers.
    seed
        Seed of the cuts and gaps, which are drawn at random.

    Raises
    ------
    AssertionError
        If a law does not hold: which one, and what differs.
    """
    StageLaws(stage, info, signal).all(seed)


def check_device(
    device: Device, *, seconds: float = SECONDS, realtime: bool = False
) -> None:
    """Check the laws of a device: order, times, counted losses, no waiting.

    Parameters
    ----------
    device
        The device, not open. Copies of it are opened, with ``name``, ``participant``
        and ``clock`` set as in a session.
    seconds
        Time for which it is read (s), each time it is opened.
    realtime
        Whether it is read on the computer's clock, as hardware and network devices
        must be; by default on a simulated clock, which takes no time.

    Raises
    ------
    AssertionError
        If a law does not hold: which one, and what differs.
    """
    DeviceLaws(builder(device), realtime, seconds).all()


def check_dataset(
    dataset: Dataset, *, plausible: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Check the laws of a data set on its first and last trial.

    Parameters
    ----------
    dataset
        The data set.
    plausible
        Units beside ``uS``, ``degC``, ``g``, ``uV``, ``mV``, ``%``, ``1/min``, ``s``
        and ``1``, each with the range of its values: ``{"mmHg": (0, 300)}``.

    Raises
    ------
    AssertionError
        If a law does not hold: which one, and what differs.
    """
    DatasetLaws(dataset, plausible or {}).all()


def check_model(
    model: Any,
    *,
    features: Sequence[str] = (),
    classes: Sequence[str] = ("calm", "stress"),
) -> None:
    """Check the laws of a model.

    Parameters
    ----------
    model
        For a session, an instance of a class that derives from
        `physio.models.base.Model`; for an evaluation, a function of one `FoldData`.
    features
        Columns that it reads. In a session only their number counts; it may be left out
        where the settings of the model have it.
    classes
        Names of the classes in an evaluation; empty for a model of numbers.

    Raises
    ------
    AssertionError
        If a law does not hold: which one, and what differs.
    TypeError
        If it is no model.
    """
    model_laws(model, features, classes).all()


def check_sink(sink: Sink) -> None:
    """Check the laws of a sink with the items of a short session.

    Parameters
    ----------
    sink
        The sink, not open; it is opened once, and its files stay.

    Raises
    ------
    AssertionError
        If a law does not hold: which one, and what differs.
    """
    SinkLaws(sink).all()
