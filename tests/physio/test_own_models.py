"""Models of anybody: in an evaluation, and live on a replay of windows or features."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.core.stage import Chain, StageRunner, apply
from physio.dsp.resample import Resample
from physio.evaluation.folds import Fold
from physio.evaluation.models.baselines import FoldData
from physio.features.newest_samples import NewestSamples, window_columns
from physio.inference import braindecode_import
from physio.inference.estimator import Estimator, Expert
from physio.inference.torch_model import build
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.testing import check_stage
from physio.training import torch_learner
from physio.training.learner import LearnerModel, Progress, Samples, silent
from physio.training.onnx_learner import OnnxLearner
from physio.training.save_weights import minimal_card, store
from physio.training.sklearn_learner import SklearnLearner
from physio.training.torch_learner import TorchLearner, head_of

CHANNELS = ("Fp1", "Cz", "O2")
RATE, SECONDS, TICKS = 64, 2.0, 4
STEP, SAMPLES = RATE // TICKS, int(RATE * SECONDS)
EEG = StreamInfo(
    "cap.eeg", Fraction(RATE), tuple(Channel(c, "eeg", "uV") for c in CHANNELS),
    origin=Origin.MEASURED,
)  # fmt: skip
MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n_chans, n_times, n_outputs, width=8):
        super().__init__()
        self.spatial = nn.Conv1d(n_chans, width, 9, padding=4)
        self.last = nn.Linear(width, n_outputs)

    def forward(self, x):
        power = self.spatial(x).square().mean(dim=2)
        return self.last(torch.log(power + 0.1))
"""


def needs_braindecode() -> None:
    """Skip a test without braindecode 1; importing it here would need torchaudio."""
    if find_spec("braindecode") is None or version("braindecode") < "1":
        pytest.skip("braindecode 1 is not installed")


@pytest.fixture(scope="module", autouse=True)
def _outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have a module outside the package."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_net.py").write_text(MODULE, "utf-8")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def signal(n: int, strong: bool, seed: int) -> Array:
    """Return noise, with a rhythm at 10 Hz in one channel where it is strong."""
    rng = np.random.default_rng(seed)
    x = 10 * rng.normal(size=(n, len(CHANNELS)))
    if strong:
        x[:, 2] += 25 * np.sin(2 * np.pi * 10 * np.arange(n) / RATE + rng.uniform(0, 6))
    return x


def windows() -> Samples:
    """Return windows of eight participants in two conditions."""
    x, y, who, unit = [], [], [], []
    for p in range(8):
        for k in range(10):
            x.append(signal(SAMPLES, bool(k % 2), 100 * p + k).T)
            y.append(k % 2)
            who.append(f"P{p}")
            unit.append(k)
    return Samples(
        np.array(x), np.array(y), np.array(who), np.array(unit), np.full(80, ""),
        np.arange(80) * SECONDS, tuple((c, "raw") for c in CHANNELS),
        classes=("rest", "task"), rate=float(RATE), seed=1,
    )  # fmt: skip


def fold(samples: Samples) -> FoldData:
    """Return the same windows as a fold of an evaluation."""
    table = pd.DataFrame({
        "dataset": "w", "subject": samples.participants, "session": "", "trial": "",
        "segment": samples.units, "start_s": samples.times,
        "end_s": samples.times + SECONDS,
    })  # fmt: skip
    rows = np.arange(len(samples))
    tested = samples.participants == "P7"
    y = np.where(tested, -1, samples.y)
    division = Fold("P7", rows[~tested], rows[tested])
    return FoldData(samples.x, y, table, division, samples.classes, seed=1)


def onnx_file(path: Path) -> Path:
    """Write a graph: the power of each channel, weighted, as logits of two classes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.array([[0, 0], [0, 0], [-0.02, 0.02]], np.float32)
    shift = np.array([6.0, -6.0], np.float32)
    nodes = [
        helper.make_node("Mul", ["eeg", "eeg"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axes"], ["power"], keepdims=0),
        helper.make_node("Gemm", ["power", "weight", "shift"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "power",
        [helper.make_tensor_value_info("eeg", TensorProto.FLOAT, [1, 3, SAMPLES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        [
            numpy_helper.from_array(np.array([2], np.int64), "axes"),
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(shift, "shift"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.save(model, str(path))
    return path


def learner(kind: str, folder: Path) -> Any:
    """Return a learner of windows."""
    if kind == "onnx":
        path = onnx_file(folder / "power.onnx")
        return OnnxLearner(str(path), scale="logits", rate=float(RATE))
    if kind == "braindecode":
        needs_braindecode()
        return TorchLearner("braindecode.models:EEGNet", epochs=50, rate=1e-2)
    net = TorchLearner("my_net:Net", {"width": 4}, epochs=15, rate=3e-2)
    return net.trusting(("my_net",))


KINDS = ("onnx", "torch", "braindecode")


@pytest.fixture(scope="module", params=KINDS)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Any]:
    """Return kind, folder of weights, and model of a network on windows."""
    folder = tmp_path_factory.mktemp(request.param)
    model = learner(request.param, folder).fit(windows(), silent)
    columns = window_columns("raw", CHANNELS, STEP)
    n = len(columns)
    ones = np.ones(n)
    rest = BaselinePrior(np.zeros(n), ones, ones, ones, ones)
    use = f"{type(model).__module__}:{type(model).__name__}"
    card = minimal_card(use, columns, 10.0, Origin.MEASURED, ())
    nothing = np.full(3, np.nan)
    store(folder / "mine", card, model, rest, (nothing, nothing))
    return request.param, folder / "mine", model


def plan(path: Path) -> PipelineConfig:
    """Return a session with a chain of raw windows, and these weights."""
    expert = Expert(str(path)).trusting(("my_net",))
    chain = ChainConfig("cap.eeg", (NewestSamples(1 / TICKS),))
    return PipelineConfig({"raw": chain}, estimator=Estimator((expert,)))


def recorded(cuts: list[int] | None = None, source: StreamInfo = EEG) -> Recording:
    """Return 8 s of rest and 8 s of task, cut into blocks."""
    n = 8 * RATE
    x = np.vstack([signal(n, False, 1), signal(n, True, 2)])
    block = Block(source, 0, 0.0, x)
    return Recording({source.name: tuple(block.split(cuts or [500]))})


def estimates(path: Path, recording: Recording) -> Array:
    blocks = [i for i in run(recording, plan(path)) if i.info.name == "estimates"]
    columns = ("condition.rest", "condition.task", "arousal")
    return np.vstack([np.stack([b.column(c) for c in columns], 1) for b in blocks])


def test_it_stands_in_an_evaluation(trained: tuple[str, Path, Any]) -> None:
    kind, folder, _ = trained
    data = fold(windows())
    odds = LearnerModel(learner(kind, folder.parent))(data)
    assert odds.shape == (10, 2)
    assert np.allclose(odds.sum(axis=1), 1)
    right = odds.argmax(axis=1) == windows().y[data.fold.test]
    assert right.mean() >= 0.8


def test_it_is_live_on_raw_windows_bit_for_bit(trained: tuple[str, Path, Any]) -> None:
    _, path, model = trained
    whole = estimates(path, recorded())
    warm = missing_reason(whole[1:8, 0])
    assert set(warm.tolist()) == {MissingReason.WARMING_UP}
    assert np.isfinite(whole[8:, :2]).all()
    assert whole[-4:, 1].mean() > whole[8:28, 1].mean() + 0.2
    assert set(missing_reason(whole[:, 2]).tolist()) == {MissingReason.UNTRAINED}
    x = np.vstack([signal(8 * RATE, False, 1), signal(8 * RATE, True, 2)])
    end = len(x) - STEP  # the last row is due at a tick after the recording
    last = model.condition_odds(x[end - SAMPLES : end].T, np.zeros(3))
    np.testing.assert_array_equal(whole[-1, :2], last)
    rng = np.random.default_rng(5)
    for _ in range(2):
        cuts = np.sort(rng.choice(np.arange(1, 1000), 30, replace=False)).tolist()
        again = estimates(path, recorded(cuts))
        np.testing.assert_array_equal(again.view(np.int64), whole.view(np.int64))


def test_it_abstains_where_the_signal_is_missing(
    trained: tuple[str, Path, Any],
) -> None:
    _, path, _ = trained
    recording = recorded([500, 560])
    blocks = recording.streams["cap.eeg"]
    gap = Recording({"cap.eeg": (blocks[0], blocks[2])})  # 60 samples are lost
    out = estimates(path, gap)
    lost = missing_reason(out[33:35, 0])
    assert set(lost.tolist()) <= {MissingReason.NO_SIGNAL, MissingReason.TOO_SHORT}
    assert (lost > 0).all()
    assert np.isfinite(out[-1, :2]).all()


def test_weights_are_checked_and_trusted_before_they_answer(
    trained: tuple[str, Path, Any],
) -> None:
    kind, path, _ = trained
    stored = model_card.load(str(path))
    assert stored.repeated(("my_net",))[1] <= 1e-4
    if kind == "torch":
        with pytest.raises(ValueError, match="--trust my_net would allow it"):
            stored.model()


def test_another_rate_is_refused_or_resampled(
    trained: tuple[str, Path, Any], tmp_path: Path
) -> None:
    kind, path, _ = trained
    fast = replace(EEG, rate=Fraction(2 * RATE))
    chain = Chain((Resample(float(RATE)), NewestSamples(1 / TICKS)))
    out = apply(chain, Block(fast, 0, 0.0, signal(1024, True, 3)))
    assert out.info.rate == TICKS
    names = tuple(f"raw.{n}" for n in out.info.names)
    info = StreamInfo(
        "features", Fraction(TICKS),
        tuple(Channel(n) for n in (*names, "raw.window_start", "raw.window_end")),
        origin=Origin.MEASURED,
    )  # fmt: skip
    expert = Expert(str(path)).trusting(("my_net",))
    data = np.hstack([out.data, np.zeros((len(out), 2))])
    flow = StageRunner(Estimator((expert,)), info)
    odds = flow.push(Block(info, 0, 0.0, data))
    assert np.isfinite(odds.column("condition.task")[-1])
    with pytest.raises(ValueError, match="64 Hz"):
        Estimator((expert,)).output_info(replace(info, rate=Fraction(5)))
    if kind == "onnx":
        samples = replace(windows(), rate=128.0)
        with pytest.raises(ValueError, match="reads windows at 64 Hz, not at 128"):
            learner(kind, tmp_path).fit(samples, silent)


def test_a_pipeline_of_scikit_learn_is_live_with_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(160, 2))
    rating = np.clip(0.3 * x[:, :1] + 0.2 * rng.normal(size=(160, 1)), -1, 1)
    samples = Samples(
        x, rating, np.repeat([f"P{i}" for i in range(8)], 20),
        np.tile(np.arange(20), 8), np.full(160, ""), np.arange(160.0),
        targets=("arousal",),
    )  # fmt: skip
    pipeline = make_pipeline(SimpleImputer(), PolynomialFeatures(2), Ridge(10.0))
    model = SklearnLearner(pipeline).fit(samples, silent)
    names, ones = ("eda.a", "eda.b"), np.ones(2)
    rest = BaselinePrior(np.zeros(2), 1e-9 * ones, ones, ones, 10 * ones)
    card = minimal_card(
        "physio.inference.stored_graph:StoredGraph",
        tuple((n, "raw") for n in names), 10.0, Origin.MEASURED, ("arousal",),
    )  # fmt: skip
    prior = np.zeros(3), np.full(3, float(rating.std()))
    store(tmp_path / "mine", card, model, rest, prior)
    columns = (*names, "eda.window_start", "eda.window_end")
    info = StreamInfo(
        "features", Fraction(4), tuple(map(Channel, columns)), origin=Origin.MEASURED
    )
    data = np.zeros((120, 4))
    data[40:, :2] = 1.0, -0.5
    data[100:, :2] = MissingReason.POOR_QUALITY.nan
    flow = StageRunner(Estimator((Expert(str(tmp_path / "mine")),)), info)
    out = flow.push(Block(info, 0, 0.0, data))
    mean, sd = (out.column(n) for n in ("arousal", "arousal.sd"))
    expected = pipeline.fit(x, rating[:, 0]).predict([[1.0, -0.5]])[0]
    assert mean[80] == pytest.approx(expected, abs=5e-3)
    assert sd[80] == pytest.approx(0.2, abs=0.03)  # the noise of the ratings
    assert out.column("arousal.ci80")[80] == pytest.approx(1.28155 * sd[80])
    lost = missing_reason(mean[101:])
    assert set(lost.tolist()) == {MissingReason.POOR_QUALITY}


def test_the_stage_of_newest_samples_obeys_its_laws() -> None:
    check_stage(NewestSamples(0.25), EEG)
    with pytest.raises(ValueError, match="a whole number of them, or resample"):
        NewestSamples(0.3).output_info(replace(EEG, rate=Fraction(5)))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_stopped_fit_resumes_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, frozen: bool
) -> None:
    """A fit that Ctrl-C stopped after some epochs ends as one without a stop."""
    monkeypatch.setattr(torch_learner, "STORED_EVERY", 0.0)
    net = TorchLearner("my_net:Net", epochs=6, frozen=frozen, head="last", rate=3e-2)
    net = net.trusting(("my_net",))
    whole = net.fit(windows(), silent)
    reported: list[int] = []

    def stop(progress: Progress) -> None:
        reported.append(progress.step)
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.resuming(tmp_path).fit(windows(), stop)
    assert len(list(tmp_path.glob("fit-*/checkpoint.safetensors"))) == 1
    later: list[int] = []
    again = net.resuming(tmp_path).fit(windows(), lambda p: later.append(p.step))
    assert reported == [1, 2, 3, 4]
    assert later == [5, 6]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    np.testing.assert_array_equal(whole.sd, again.sd)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        net.resuming(tmp_path).fit(windows(), stop)
    other = replace(net, rate=1e-2)  # other settings begin anew
    later.clear()
    other.resuming(tmp_path).fit(windows(), lambda p: later.append(p.step))
    assert later == [1, 2, 3, 4, 5, 6]


def test_the_group_that_does_not_train_does_not_scale_the_input() -> None:
    given = windows()
    net = TorchLearner("my_net:Net", epochs=1).trusting(("my_net",)).fit(given, silent)
    train = given.x[given.held_out()[0][0]]
    np.testing.assert_allclose(net.center[:, 0], train.mean(axis=(0, 2)), rtol=1e-6)


def test_a_frozen_encoder_learns_only_its_head() -> None:
    torch.manual_seed(0)
    net = TorchLearner("my_net:Net", epochs=20, frozen=True, head="last", rate=3e-2)
    model = net.trusting(("my_net",)).fit(windows(), silent)
    torch.manual_seed(1)  # the seed of the samples
    from my_net import Net

    fresh = Net(len(CHANNELS), SAMPLES, 2)
    before = fresh.spatial.state_dict()
    for name, value in model.network.spatial.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(head_of(model.network).weight, fresh.last.weight)


@pytest.mark.filterwarnings("ignore:A window was not provided")  # by BIOT
@pytest.mark.parametrize(
    ("network", "settings"),
    [("BIOT", {"num_layers": 1}), ("CBraMod", {"n_layer": 1})],
)
def test_a_foundation_model_is_a_frozen_encoder(
    network: str, settings: dict[str, int], tmp_path: Path
) -> None:
    needs_braindecode()
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = 10 * rng.normal(size=(24, 4, 400))
    x[y == 1] += 40 * np.sin(2 * np.pi * 10 * np.arange(400) / 200)
    samples = Samples(
        x, y, np.repeat([f"P{i}" for i in range(6)], 4), np.arange(24),
        np.full(24, ""), np.arange(24.0), tuple((c, "raw") for c in "abcd"),
        classes=("rest", "task"), rate=200.0,
    )  # fmt: skip
    path = f"braindecode.models:{network}"
    # Random weights, stored as published ones would be.
    described = {"n_chans": 4, "n_times": 400, "sfreq": 200.0, "n_outputs": 5}
    torch.manual_seed(7)
    encoder = build(path, {**settings, **described}, ())
    save_file(
        {k: v.contiguous().clone() for k, v in encoder.state_dict().items()},
        tmp_path / "published.safetensors",
    )
    fitted = TorchLearner(
        path, settings, epochs=25, rate=1e-2, frozen=True, unit=100.0,
        begin=str(tmp_path / "published.safetensors"),
    ).fit(samples, silent)  # fmt: skip
    state = fitted.network.state_dict()
    same = [k for k, v in encoder.state_dict().items() if "final_layer" not in k
            and not torch.equal(state[k], v)]  # fmt: skip
    assert same == []
    odds = np.array([fitted.condition_odds(row, row) for row in x])
    assert (odds.argmax(axis=1) == y).mean() > 0.8
    with pytest.raises(ValueError, match="has other parameters than the network"):
        TorchLearner(
            "braindecode.models:EEGNet",
            frozen=True, begin=str(tmp_path / "published.safetensors"),
        ).fit(samples, silent)  # fmt: skip


def torchaudio(folder: Path, text: str) -> Path:
    """Write a package torchaudio; return the folder of its path."""
    package = folder / "torchaudio"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text, "utf-8")
    functions = "".join(
        f"def {n}(*a): ...\n" for n in ("fftconvolve", "filtfilt", "lfilter")
    )
    (package / "functional.py").write_text(functions, "utf-8")
    classes = "class Resample(nn.Module): ...\nclass Spectrogram(nn.Module): ...\n"
    (package / "transforms.py").write_text(f"from torch import nn\n{classes}", "utf-8")
    return folder


def test_the_names_of_torchaudio_are_supplied_where_it_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = torchaudio(tmp_path / "broken", "raise OSError('undefined symbol')\n")
    loaded = [n for n in sys.modules if n.partition(".")[0] == "braindecode"]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(broken)
        with braindecode_import._torchaudio():
            functional = sys.modules["torchaudio.functional"]
            with pytest.raises(ValueError, match="needs torchaudio, which cannot be"):
                functional.filtfilt(1)
    assert "torchaudio" not in sys.modules
    real = torchaudio(tmp_path / "real", "from . import functional, transforms\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(real)
        with braindecode_import._torchaudio():
            assert sys.modules["torchaudio"].__file__ == str(
                real / "torchaudio" / "__init__.py"
            )
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]


@pytest.mark.long
@pytest.mark.parametrize("loads", [True, False])
def test_braindecode_is_imported_with_and_without_torchaudio(
    tmp_path: Path, loads: bool
) -> None:
    needs_braindecode()
    text = "from . import functional, transforms\n"
    folder = torchaudio(tmp_path, text if loads else "raise OSError('symbol')\n")
    code = (
        "import sys\n"
        "from physio.inference.braindecode_import import braindecode_models\n"
        "models = braindecode_models()\n"
        "print(models.EEGNet.__name__, 'torchaudio' in sys.modules)\n"
    )
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout == f"EEGNet {loads}\n", done.stderr


def test_a_graph_of_several_inputs_names_them(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    parts = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in "ab"
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["out"])], "sum", parts,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    path = tmp_path / "sum.onnx"
    onnx.save(model, str(path))
    x = np.random.default_rng(0).normal(size=(20, 4))
    samples = Samples(
        x, x[:, :2] + x[:, 2:], np.repeat(["a", "b"], 10), np.zeros(20, int),
        np.full(20, ""), np.arange(20.0), targets=("valence", "arousal"),
    )  # fmt: skip
    with pytest.raises(ValueError, match="the graph has the inputs a, b: state"):
        OnnxLearner(str(path)).fit(samples, silent)
    columns = (("a", 0, 2), ("b", 2, 4))
    fitted = OnnxLearner(str(path), inputs=columns).fit(samples, silent)
    mean, _ = fitted.predict(x[3], np.zeros(4))
    np.testing.assert_allclose(mean[:2], samples.y[3], rtol=1e-6)
    classes = replace(samples, targets=(), classes=("u", "v"), y=np.zeros(20, int))
    wrong = OnnxLearner(str(path), inputs=columns, scale="probabilities")
    with pytest.raises(ValueError, match=r"no probabilities .*set scale = 'logits'"):
        wrong.fit(classes, silent)
