"""Frozen encoders: a supplied ONNX file reads the laboratories' minutes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from experiments.contrastive.minutes import SECONDS
from experiments.contrastive.probes import Labelled
from experiments.cross_laboratory.laboratories import EmoPair
from experiments.foundation_wrist import supplied
from experiments.foundation_wrist.compare import FoundationWrist, f1_of
from experiments.foundation_wrist.supplied import SuppliedEncoder
from experiments.literature.judgement import fixed
from wrist_people import wrists

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "foundation_wrist"


def encoder(path: Path, shape: list[int | str], axis: int) -> str:
    """Write a graph whose embedding is the mean of each channel; return its path."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [axis])
    node = helper.make_node("ReduceMean", ["x", "axes"], ["z"], keepdims=0)
    graph = helper.make_graph([node], "mean", [x], [out], [axes])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return str(path)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two phases of one participant of EmoPairCompete."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "emopair"
    folder.mkdir()
    arrays: dict[str, Any] = {}
    for phase in ("1", "2"):
        arrays |= {
            f"P1/1/{phase}/EDA": 2 + rng.uniform(0, 0.1, 4 * 300),
            f"P1/1/{phase}/BVP": rng.normal(size=64 * 300),
            f"P1/1/{phase}/TEMP": np.full(4 * 300, 33.0),
            f"P1/1/{phase}/HR": np.full(300, 70.0),
        }
    np.savez(folder / "emopair_e4.npz", **arrays)
    rows = {"person": "P1", "round": 1, "phase": [1, 2], "start_s": [0.0, 300.0]}
    pd.DataFrame(rows).to_csv(folder / "records.csv", index=False)
    monkeypatch.setattr(supplied, "laboratories", lambda r: [EmoPair(r / "emopair")])
    return tmp_path


def table() -> pd.DataFrame:
    place = {"dataset": "EmoPairCompete", "subject": "P1", "session": "1"}
    starts = {"trial": ["1", "2", "2"], "start_s": [30.0, 330.0, 590.0]}
    return pd.DataFrame({**starts, **place})


def test_skin_is_read_as_raw_phasic_and_tonic(root: Path) -> None:
    path = encoder(root / "ume.onnx", ["n", 240, 3], 1)
    reads = SuppliedEncoder(path, "skin", layout="channels last")
    z = reads.embeddings(root, table())
    with np.load(root / "emopair" / "emopair_e4.npz") as file:
        raw = file["P1/1/1/EDA"][120 : 120 + 240]
    assert z.shape == (3, 3)
    assert z[0, 0] == pytest.approx(raw.mean(), abs=1e-5)
    assert z[0, 1] + z[0, 2] == pytest.approx(raw.mean(), abs=0.05)
    assert np.isnan(z[2]).all()  # 590 s to 650 s: beyond the recording


@pytest.mark.parametrize("first", ["n", 1])
def test_pulse_is_resampled_and_graphs_of_one_window_are_run(
    root: Path, first: int | str
) -> None:
    path = encoder(root / "ppg.onnx", [first, 1, 50 * SECONDS], 2)
    reads = SuppliedEncoder(path, "pulse", rate=50)
    z = reads.embeddings(root, table())
    windows = reads.windows(root, table())
    assert windows.shape == (3, 1, 3000)
    np.testing.assert_allclose(z[:2, 0], windows[:2, 0].mean(axis=1), atol=1e-6)
    scaled = replace(reads, scaled=True).embeddings(root, table())
    np.testing.assert_allclose(scaled[:2], 0, atol=1e-5)


def test_a_graph_of_other_windows_is_refused(root: Path) -> None:
    path = encoder(root / "other.onnx", ["n", 1, 100], 2)
    with pytest.raises(ValueError, match="set signal, rate and layout"):
        SuppliedEncoder(path, "pulse", rate=50).embeddings(root, table())
    with pytest.raises(ValueError, match="there is no encoder nowhere"):
        SuppliedEncoder("nowhere.onnx", "skin").embeddings(root, table())
    with pytest.raises(ValueError, match="4 samples a second, not 8"):
        SuppliedEncoder("x.onnx", "skin", rate=8)


class Fixed:
    """Embeddings that are given."""

    trained_on: ClassVar[tuple[str, ...]] = ("WESAD",)


def test_contamination_is_stated() -> None:
    reads = SuppliedEncoder("x.onnx", "skin", trained_on=("WESAD",))
    row = FoundationWrist(supplied={"mine": reads})
    (note,) = row._contamination()
    assert "WESAD; the list is not known to be complete" in note
    with pytest.raises(ValueError, match="mine is a Fixed"):
        FoundationWrist(supplied={"mine": Fixed()})


def test_f1_of_perfect_and_opposite_answers() -> None:
    data: Labelled = wrists(3, 1)
    test = np.flatnonzero(data.used)
    right = data.y[test].astype(float)
    assert set(f1_of(data, right, test).values()) == {1.0}
    assert set(f1_of(data, 1 - right, test).values()) == {0.0}


def test_the_primary_comparison_is_the_one_fixed_before_the_run() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"]["judgement"]["sha256"] == fixed(FOLDER)
