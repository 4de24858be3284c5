"""RBTransformer as an ONNX graph, written node by node from its parameters."""

from importlib import import_module
from typing import Any, Final

import numpy as np

OPSET: Final = 20
_IR: Final = 10  # read by ONNX Runtime 1.18 and later
_NEVER: Final = -1e9  # as the floor of the network's masked scores


class Graph:
    """A graph of named nodes and constants, built node by node.

    Parameters
    ----------
    onnx
        The package ``onnx``.
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


def graph(model: Any, *, complete: bool = False) -> Any:
    """Return an RBTransformer as an ONNX model.

    Inputs are ``x``, float32 (windows, electrodes, bands), and ``mask``, bool (windows,
    electrodes), true where an electrode is present. The output is ``out``, (windows,
    outputs).

    Parameters
    ----------
    model
        The `physio.models.rbtransformer.RBTransformer`; dropout is omitted.
    complete
        Whether to build the graph for windows with all electrodes, without the input
        ``mask``.

    Raises
    ------
    ValueError
        If the package ``onnx`` is not installed.
    """
    try:
        onnx = import_module("onnx")
    except ImportError:
        raise ValueError(
            "the package 'onnx' is not installed: pip install 'physio-affect[onnx]'"
        ) from None
    make = onnx.helper
    net = Graph(onnx)
    w = model.arrays()
    config = model.config
    x = net.add("Add", net.add("MatMul", "x", w["project.weight"].T), w["project.bias"])
    if config.embedding != "none":
        x = net.add("Add", x, _identity(model))
    masking = _masking(net) if config.attention and not complete else ""
    for i in range(config.blocks):
        part = {
            k.removeprefix(f"blocks.{i}."): v
            for k, v in w.items()
            if k.startswith(f"blocks.{i}.")
        }
        x = _block(net, model, part, x, masking)
    x = _head(net, model, w, x, complete=complete)
    net.nodes[-1].output[0] = "out"
    inputs = _inputs(onnx, config, complete=complete)
    out = make.make_tensor_value_info(
        "out", onnx.TensorProto.FLOAT, ("windows", config.outputs)
    )
    onnx_graph = make.make_graph(
        net.nodes, "rbtransformer", inputs, [out], list(net.constants.values())
    )
    return make.make_model(
        onnx_graph,
        opset_imports=[make.make_opsetid("", OPSET)],
        ir_version=_IR,
        producer_name="physio-affect",
    )


def _inputs(onnx: Any, config: Any, *, complete: bool) -> list[Any]:
    """Return the inputs ``x`` and ``mask``; for complete windows ``x`` alone."""
    sizes = {
        "x": ("windows", config.electrodes, config.bands),
        "mask": ("windows", config.electrodes),
    }
    kinds = {"x": onnx.TensorProto.FLOAT, "mask": onnx.TensorProto.BOOL}
    names = ("x",) if complete else ("x", "mask")
    make = onnx.helper.make_tensor_value_info
    return [make(name, kinds[name], sizes[name]) for name in names]


def _identity(model: Any) -> Any:
    """Return the embedding added to each electrode's token, (1, E, W)."""
    if model.config.embedding == "learned":
        return model.identity.detach().numpy()
    return model.place(model.places).detach().numpy()[None]


def _masking(net: Graph) -> str:
    """Return the term added to the scores: 0, or a large negative number."""
    there = net.add("Unsqueeze", "mask", np.array([1, 2]))  # (B, 1, 1, E)
    return net.add("Where", there, np.float32(0), np.float32(_NEVER))


def _linear(net: Graph, x: str, weight: Any, bias: Any) -> str:
    return net.add("Add", net.add("MatMul", x, weight.T), bias)


def _norm(net: Graph, x: str, weight: Any, bias: Any) -> str:
    return net.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=1e-5)


def _block(net: Graph, model: Any, w: dict[str, Any], x: str, masking: str) -> str:
    if model.config.attention:
        x = net.add("Add", x, _attention(net, model, w, x, masking))
    y = _norm(net, x, w["norm2.weight"], w["norm2.bias"])
    y = net.add("Gelu", _linear(net, y, w["mlp.0.weight"], w["mlp.0.bias"]))
    return net.add("Add", x, _linear(net, y, w["mlp.3.weight"], w["mlp.3.bias"]))


def _attention(net: Graph, model: Any, w: dict[str, Any], x: str, masking: str) -> str:
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
    if masking:
        scores = net.add("Add", scores, masking)
    mixed = net.add("MatMul", net.add("Softmax", scores, axis=-1), parts[2])
    back = net.add("Transpose", mixed, perm=(0, 2, 1, 3))
    joined = net.add("Reshape", back, np.array([0, 0, inner]))
    return _linear(net, joined, w["attention.out.0.weight"], w["attention.out.0.bias"])


def _head(net: Graph, model: Any, w: dict[str, Any], x: str, *, complete: bool) -> str:
    """Pool over the electrodes that are present, then apply the head."""
    flat = model.config.pooling == "flat"
    if not complete:
        present = net.add("Cast", "mask", to=1)  # float32
        x = net.add("Mul", x, net.add("Unsqueeze", present, np.array([2])))
    if flat:
        x = net.add("Flatten", x, axis=1)
    elif complete:
        x = net.add("ReduceMean", x, np.array([1]), keepdims=0)
    else:
        count = net.add("ReduceSum", present, np.array([1]), keepdims=1)
        count = net.add("Max", count, np.float32(1))
        total = net.add("ReduceSum", x, np.array([1]), keepdims=0)
        x = net.add("Div", total, count)
    x = _norm(net, x, w["head.0.weight"], w["head.0.bias"])
    for i in (1, 4, 7):
        x = net.add("Gelu", _linear(net, x, w[f"head.{i}.weight"], w[f"head.{i}.bias"]))
    return _linear(net, x, w["head.10.weight"], w["head.10.bias"])
