"""A network as an ONNX graph gives the same numbers as torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from physio.core.missing import MissingReason
from physio.inference import onnx
from physio.io.montage import places
from physio.models import model_card
from physio.models.gaussian import Gaussian
from physio.models.onnx_graph import graph
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig

pytest.importorskip("onnxruntime")
PLACES = tuple(tuple(p) for p in places(("Fp1", "Cz", "O2", "T7", "Pz")).tolist())


@pytest.mark.parametrize(
    "settings",
    [
        {"electrodes": 32, "head": "affect"},
        {"electrodes": 62, "classes": 3},
        {"electrodes": 5, "embedding": "place", "places": PLACES},
        {"electrodes": 5, "embedding": "none", "pooling": "flat"},
        {"electrodes": 5, "attention": False, "blocks": 2, "bands": 5},
        {"electrodes": 5, "blocks": 0},
    ],
    ids=lambda s: ",".join(map(str, s.values()))[:40],
)
def test_the_graph_says_what_the_network_says(settings: dict[str, Any]) -> None:
    import onnxruntime

    torch.manual_seed(0)
    model = RBTransformer(RBTransformerConfig(**settings)).eval()
    session = onnxruntime.InferenceSession(graph(model).SerializeToString())
    rng = np.random.default_rng(0)
    config = model.config
    for windows in (1, 7):
        x = 3 * rng.standard_normal((windows, config.electrodes, config.bands))
        x = x.astype(np.float32)
        mask = rng.random((windows, config.electrodes)) < 0.7
        mask[:, 0] = True
        for here in (mask, np.ones_like(mask)):
            (out,) = session.run(["out"], {"x": x, "mask": here})
            # asked: 1e-5
            np.testing.assert_allclose(out, model.outputs(x, here), rtol=0, atol=1e-5)
        whole = graph(model, complete=True).SerializeToString()
        (out,) = onnxruntime.InferenceSession(whole).run(["out"], {"x": x})
        np.testing.assert_allclose(out, model.outputs(x, here), rtol=0, atol=1e-5)


def test_live_experts_are_run_by_it_and_say_the_same() -> None:
    model = model_card.load("eeg-demo").model()
    quick = onnx.to_onnx_model(model)
    assert isinstance(quick, onnx.OnnxModel)
    z = np.random.default_rng(1).standard_normal(76)
    z[5] = MissingReason.POOR_QUALITY.nan
    for ours, theirs in zip(quick.predict(z, z), model.predict(z, z), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    again = onnx.to_onnx_model(
        RBTransformer.restore(vars(model.config), quick.arrays())
    )
    np.testing.assert_array_equal(again.predict(z, z), quick.predict(z, z))


def test_other_models_and_heads_stay_as_they_are() -> None:
    for model in (Gaussian(), RBTransformer()):
        assert onnx.to_onnx_model(model) is model


def test_without_the_packages_the_network_itself_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_card.load("eeg-demo").model()
    monkeypatch.setattr(onnx, "find_spec", lambda _: None)
    assert onnx.to_onnx_model(model) is model


def test_a_file_is_a_whole_valid_graph(tmp_path: Path) -> None:
    import onnx as package

    model = RBTransformer(RBTransformerConfig(4, head="affect"))
    onnx.write(model, tmp_path / "net.onnx")
    package.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)


@pytest.mark.parametrize("inside", [False, True], ids=["graph", "subgraph"])
def test_a_graph_with_weights_in_another_file_is_refused(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx import TensorProto, helper

    (tmp_path / "secret.bin").write_bytes(np.ones(4, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would read it
    value = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="secret.bin")
    x, y, z, yes = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("x", TensorProto.FLOAT, [4]),
            ("y", TensorProto.FLOAT, [4]),
            ("z", TensorProto.FLOAT, [4]),
            ("yes", TensorProto.BOOL, []),
        )
    )
    add = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["z"])], "add", [], [z], [value]
    )
    if inside:
        node = helper.make_node("If", ["yes"], ["y"], then_branch=add, else_branch=add)
        whole = helper.make_graph([node], "whole", [x, yes], [y])
    else:
        node = helper.make_node("Add", ["x", "w"], ["y"])
        whole = helper.make_graph([node], "whole", [x], [y], [value])
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    with pytest.raises(ValueError, match=r"in another file.*save it as one file"):
        onnx.open_graph(model.SerializeToString())
