"""RBTransformer as an ONNX graph, and as ONNX Runtime runs it: half the time."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from physio.core.block import Array
from physio.models import model_card
from physio.models.rbtransformer import Numbers, RBTransformer, predicted

OPSET: Final = 20
_IR: Final = 10  # what ONNX Runtime 1.18 and later read
_NEVER: Final = -1e9  # as the network's own floor


class Graph:
    """A graph of named nodes and constants, grown node by node.

    Parameters
    ----------
    onnx
        The package.
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, kind: str, *inputs: Any, **settings: Any) -> str:
        """Add a node; arrays among its inputs become constants. Return its output."""
        named = [i if isinstance(i, str) else self._constant(i) for i in inputs]
        out = f"{kind.lower()}{len(self.nodes)}"
        node = self._onnx.helper.make_node(kind, named, [out], **settings)
        self.nodes.append(node)
        return out

    def _constant(self, value: Any) -> str:
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"c{len(self.constants)}"
        self.constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name


def graph(model: RBTransformer, *, whole: bool = False) -> Any:
    """Return a network as an ONNX model.

    Inputs are ``x``, float32 (windows, electrodes, bands), and ``mask``, bool (windows,
    electrodes): which electrodes are present. The output is ``out``, (windows,
    outputs).

    Parameters
    ----------
    model
        In the state in which it predicts: there is no dropout.
    whole
        For windows that have all electrodes: without the input ``mask``.

    Raises
    ------
    ValueError
        If the package ``onnx`` is not installed.
    """
    onnx = _package("onnx")
    make = onnx.helper
    net = Graph(onnx)
    w = model.arrays()
    config = model.config
    x = net.add("Add", net.add("MatMul", "x", w["project.weight"].T), w["project.bias"])
    if config.embedding != "none":
        x = net.add("Add", x, _identity(model))
    hidden = _hidden(net) if config.attention and not whole else ""
    for i in range(config.blocks):
        part = {
            k.removeprefix(f"blocks.{i}."): v
            for k, v in w.items()
            if k.startswith(f"blocks.{i}.")
        }
        x = _block(net, model, part, x, hidden)
    x = _head(net, model, w, x, whole=whole)
    net.nodes[-1].output[0] = "out"
    sizes = [
        ("windows", config.electrodes, config.bands),
        ("windows", config.electrodes),
    ]
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL)
    inputs = [
        make.make_tensor_value_info(name, kind, size)
        for name, kind, size in zip(("x", "mask"), kinds, sizes, strict=True)
    ]
    inputs = inputs[:1] if whole else inputs
    out = make.make_tensor_value_info("out", kinds[0], ("windows", config.outputs))
    made = make.make_graph(
        net.nodes, "rbtransformer", inputs, [out], list(net.constants.values())
    )
    return make.make_model(
        made,
        opset_imports=[make.make_opsetid("", OPSET)],
        ir_version=_IR,
        producer_name="physio-affect",
    )


def _identity(model: RBTransformer) -> Any:
    """Return what is added to each electrode's token, (1, E, W)."""
    if model.config.embedding == "learned":
        return model.identity.detach().numpy()
    return model.place(model.places).detach().numpy()[None]


def _hidden(net: Graph) -> str:
    """Return what is added to scores: next to nothing, or far below all others."""
    there = net.add("Unsqueeze", "mask", np.array([1, 2]))  # (B, 1, 1, E)
    return net.add("Where", there, np.float32(0), np.float32(_NEVER))


def _linear(net: Graph, x: str, weight: Any, bias: Any) -> str:
    return net.add("Add", net.add("MatMul", x, weight.T), bias)


def _norm(net: Graph, x: str, weight: Any, bias: Any) -> str:
    return net.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=1e-5)


def _block(
    net: Graph, model: RBTransformer, w: dict[str, Any], x: str, hidden: str
) -> str:
    if model.config.attention:
        x = net.add("Add", x, _attention(net, model, w, x, hidden))
    y = _norm(net, x, w["norm2.weight"], w["norm2.bias"])
    y = net.add("Gelu", _linear(net, y, w["mlp.0.weight"], w["mlp.0.bias"]))
    return net.add("Add", x, _linear(net, y, w["mlp.3.weight"], w["mlp.3.bias"]))


def _attention(
    net: Graph, model: RBTransformer, w: dict[str, Any], x: str, hidden: str
) -> str:
    config = model.config
    heads, width, inner = (
        config.heads,
        config.head_width,
        config.heads * config.head_width,
    )
    y = _norm(net, x, w["norm1.weight"], w["norm1.bias"])
    q, k, v = w["attention.qkv.weight"].reshape(3, inner, config.width)
    parts = []
    for weight, order in (
        (q * width**-0.5, (0, 2, 1, 3)),
        (k, (0, 2, 3, 1)),
        (v, (0, 2, 1, 3)),
    ):
        flat = net.add("MatMul", y, weight.T)
        tall = net.add("Reshape", flat, np.array([0, 0, heads, width]))
        parts.append(net.add("Transpose", tall, perm=order))
    scores = net.add("MatMul", parts[0], parts[1])
    if hidden:
        scores = net.add("Add", scores, hidden)
    mixed = net.add("MatMul", net.add("Softmax", scores, axis=-1), parts[2])
    back = net.add("Transpose", mixed, perm=(0, 2, 1, 3))
    joined = net.add("Reshape", back, np.array([0, 0, inner]))
    return _linear(net, joined, w["attention.out.0.weight"], w["attention.out.0.bias"])


def _head(
    net: Graph, model: RBTransformer, w: dict[str, Any], x: str, *, whole: bool
) -> str:
    """Pool over the electrodes that are present, then answer."""
    flat = model.config.pooling == "flat"
    if not whole:
        here = net.add("Cast", "mask", to=1)  # float32
        x = net.add("Mul", x, net.add("Unsqueeze", here, np.array([2])))
    if flat:
        x = net.add("Flatten", x, axis=1)
    elif whole:
        x = net.add("ReduceMean", x, np.array([1]), keepdims=0)
    else:
        count = net.add("ReduceSum", here, np.array([1]), keepdims=1)
        count = net.add("Max", count, np.float32(1))
        total = net.add("ReduceSum", x, np.array([1]), keepdims=0)
        x = net.add("Div", total, count)
    x = _norm(net, x, w["head.0.weight"], w["head.0.bias"])
    for i in (1, 4, 7):
        x = net.add("Gelu", _linear(net, x, w[f"head.{i}.weight"], w[f"head.{i}.bias"]))
    return _linear(net, x, w["head.10.weight"], w["head.10.bias"])


class OnnxModel:
    """A network's affect head as ONNX Runtime runs it, on one thread.

    Parameters
    ----------
    model
        The network.
    """

    uses_baseline_uncertainty = RBTransformer.uses_baseline_uncertainty

    def __init__(self, model: RBTransformer) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.config, self._model = model.config, model
        self._run, self._whole = (
            runtime.InferenceSession(
                graph(model, whole=whole).SerializeToString(),
                options,
                ["CPUExecutionProvider"],
            ).run
            for whole in (False, True)
        )

    def outputs(self, x: Numbers, mask: Numbers) -> Numbers:
        """Return the outputs of tokens and who is present: see `graph`.

        With all electrodes it takes a graph that does not ask: a twentieth less time.
        """
        if mask.all():
            found: Numbers = self._whole(["out"], {"x": x})[0]
            return found
        told: Numbers = self._run(["out"], {"x": x, "mask": mask})[0]
        return told

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation: see `RBTransformer.predict`."""
        return predicted(self.outputs, self.config, z)

    def arrays(self) -> model_card.Arrays:
        """Return the parameters by name."""
        return self._model.arrays()

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: model_card.Arrays) -> Self:
        """Return the network that ``arrays`` came from."""
        return cls(RBTransformer.restore(config, arrays))


def to_onnx_model(model: model_card.Model) -> model_card.Model:
    """Return a model as ONNX Runtime runs it, if it can and is installed."""
    if not isinstance(model, RBTransformer) or model.config.head != "affect":
        return model
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        return model
    return OnnxModel(model)


def write(model: RBTransformer, path: Path) -> None:
    """Write a network as an ONNX file: see `graph`."""
    path.write_bytes(graph(model).SerializeToString())


def _runtime() -> Any:
    """Return ONNX Runtime, which is to send no telemetry.

    ``ORT_DISABLE_TELEMETRY``, which `physio` sets, stops all of it where the library is
    loaded after `physio`; the call stops what is left where it was loaded before.
    """
    runtime = _package("onnxruntime")
    runtime.disable_telemetry_events()
    return runtime


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(
            f"the package {name!r} is not installed: pip install 'physio-affect[onnx]'"
        ) from None
