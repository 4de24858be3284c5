"""Models run by ONNX Runtime, which needs half the computing time of torch."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from physio.core.block import Array
from physio.models.base import Arrays, Model, Numbers, OnnxNetwork


class OnnxModel(Model):
    """A model with a network, run by ONNX Runtime on one thread.

    Parameters
    ----------
    model
        The model.
    network
        Graphs of the model: see `Model.to_onnx`.
    """

    def __init__(self, model: Model, network: OnnxNetwork) -> None:
        self.config, self._model = model.config, model
        self.uses_baseline_uncertainty = model.uses_baseline_uncertainty
        self._predict = network.predict
        self._masked, self._complete = (
            open_graph(graph.SerializeToString()).run
            for graph in (network.masked, network.complete)
        )

    def outputs(self, x: Numbers, mask: Numbers) -> Numbers:
        """Return the outputs for tokens and a mask of the present ones.

        Without missing tokens it runs the graph without a mask, which is a twentieth
        faster.
        """
        out: Numbers
        if mask.all():
            (out,) = self._complete(["out"], {"x": x})
        else:
            (out,) = self._masked(["out"], {"x": x, "mask": mask})
        return out

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation: see the model's own `predict`."""
        return self._predict(self.outputs, z)

    def arrays(self) -> Arrays:
        """Return the parameters by name."""
        return self._model.arrays()

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        """Raise an error: restore the original model, then convert it."""
        raise TypeError("restore the model itself, then call to_onnx_model on it")


def to_onnx_model(model: Model) -> Model:
    """Return a model run by ONNX Runtime, or the same model if that is not possible.

    The conversion needs the packages ``onnx`` and ``onnxruntime``, and a model with an
    ONNX graph.
    """
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        return model
    network = model.to_onnx()
    return model if network is None else OnnxModel(model, network)


def write(model: Model, path: Path) -> None:
    """Write a model as an ONNX file with the inputs ``x`` and ``mask``.

    Raises
    ------
    ValueError
        If the model has no ONNX graph, or the package ``onnx`` is not installed.
    """
    network = model.to_onnx()
    if network is None:
        raise ValueError(f"{type(model).__name__} has no ONNX graph")
    path.write_bytes(network.masked.SerializeToString())


def open_graph(graph: bytes) -> Any:
    """Return a session of ONNX Runtime, on one thread of the CPU.

    Raises
    ------
    ValueError
        If the bytes are no ONNX graph that it can run alone, or the weights of the
        graph are in another file, which could be any file of the computer.
    """
    runtime, onnx = _package("onnxruntime"), _package("onnx")
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors, which are raised
    try:
        external = _is_external(onnx.ModelProto.FromString(graph), onnx.TensorProto)
        if not external:
            return runtime.InferenceSession(graph, options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes have no common base
        text = " ".join(str(error).split())[:200]
        raise ValueError(
            f"ONNX Runtime cannot run this graph by itself: {text}"
        ) from None
    raise ValueError(
        "the ONNX graph keeps weights in another file (external data), which is not "
        "read: save it as one file, onnx.save(onnx.load('model.onnx'), 'whole.onnx')"
    )


def _is_external(message: Any, tensor: Any) -> bool:
    """Return whether a tensor anywhere in a message keeps its data in another file."""
    if isinstance(message, tensor):
        return bool(message.data_location == tensor.EXTERNAL)
    return any(
        _is_external(part, tensor)
        for field, value in message.ListFields()
        if field.message_type is not None
        for part in ((value,) if hasattr(value, "ListFields") else value)
    )


def _package(name: str) -> Any:
    """Return ``onnx`` or ``onnxruntime``.

    `physio` sets ``ORT_DISABLE_TELEMETRY``, which disables all telemetry if ONNX
    Runtime is loaded after `physio`. If it was loaded before, a call of `open_graph`
    disables the remaining telemetry.
    """
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(
            f"the package {name!r} is not installed: pip install 'physio-affect[onnx]'"
        ) from None
