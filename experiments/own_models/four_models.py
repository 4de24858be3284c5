"""Four models from outside the package: in one table, and live on someone new."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.datasets.eegmat import Eegmat
from physio.evaluation import results
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, side_by_side
from physio.models import model_card
from physio.offline.compute import estimate
from physio.training.live_ticks import TickReader
from physio.training.moments import (
    RecordingMoments,
    baseline_prior,
    moments_of,
    relative,
    shared_columns,
)
from physio.training.sklearn_learner import to_graph
from physio.training.sources import DataSource, open_source
from physio.training.train_card import session_line, write_weights
from physio.training.train_file import TrainingFile, read_training
from physio.training.train_run import (
    OnProgress,
    RunProgress,
    TrainingOutcome,
    evaluate_training,
    prepare,
)

RESULTS: Final = Path(__file__).parent / "results"
TRUST: Final = "pocket_net"
NET: Final = '''"""A network from outside the package."""

import torch
from torch import nn


class PocketNet(nn.Module):
    """Log power of filtered mixtures, and a linear layer."""

    def __init__(self, n_chans: int, n_outputs: int, width: int = 8) -> None:
        super().__init__()
        self.mix = nn.Conv1d(n_chans, width, 1)
        self.wave = nn.Conv1d(width, width, 33, padding=16, groups=width)
        self.last = nn.Linear(width, n_outputs)

    def forward(self, x):
        power = self.wave(self.mix(x)).square().mean(dim=2)
        return self.last(torch.log(power + 0.01))
'''

CHAINS: Final = """
[chains.eeg]
stream = "{stream}"
stages = [
  {{ use = "physio.core.stage:MaskBadSamples", quality = {{ use = "physio.quality.range_checks:EegQuality" }} }},
  {{ use = "physio.features.eeg.differential_entropy:DifferentialEntropy" }},
]

[chains.raw]
stream = "{stream}"
stages = [
  {{ use = "physio.dsp.iir:Bandpass", low = 1.0, high = 45.0 }},
  {{ use = "physio.dsp.resample:Resample", rate = 128.0 }},
  {{ use = "physio.features.newest_samples:NewestSamples", step = 0.25 }},
]
"""  # noqa: E501  as in a session file

FILE: Final = """
[data]
dataset = "{dataset}"
folder = "{folder}"
participants = {participants}
[target]
{target}
[features]
session = "chains.toml"
every = {every}
{form}
[model]
{model}
[protocol]
by = "k-fold"
k = {k}
held_out = ["{held_out}"]
[output]
name = "{name}"
"""

TOKENS: Final = 'form = "tokens"\nbaseline_seconds = 0'
WINDOWS: Final = "window = 2.0"
PIPELINE: Final = """use = "sklearn.pipeline:Pipeline"
steps = [
  {{ use = "sklearn.impute:SimpleImputer" }},
  {{ use = "sklearn.preprocessing:StandardScaler" }},
  {{ use = "sklearn.decomposition:PCA", n_components = 6 }},
  {{ use = "sklearn.linear_model:{last}" }},
]"""
ONNX: Final = """use = "physio.training.onnx_learner:OnnxLearner"
path = "elsewhere.onnx"
scale = "{scale}"
passes_missing = true"""
NETWORK: Final = """use = "physio.training.torch_learner:TorchLearner"
network = "{network}"
epochs = {epochs}
rate = {rate}"""


class Plan(NamedTuple):
    """Data and target of the four models.

    Parameters
    ----------
    dataset, folder
        Data set and its folder, as in a training file.
    stream
        Stream of the EEG.
    participants
        Codes of those in the table.
    held_out
        Code of one whom nothing is trained on: for the replay.
    elsewhere
        Codes of those on whom the ONNX file is trained, before and outside.
    classes
        Names of the conditions; empty for ratings of arousal.
    epochs, k, every
        Epochs of the networks, groups of the cross-validation, and time between
        moments (s).
    trust
        Packages of the data.
    """

    dataset: str
    folder: str
    stream: str
    participants: tuple[str, ...]
    held_out: str
    elsewhere: tuple[str, ...]
    classes: tuple[str, ...] = ()
    epochs: int = 10
    k: int = 4
    every: float = 2.0
    trust: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Table of the target."""
        if not self.classes:
            return 'ratings = ["arousal"]'
        pairs = ", ".join(f'{c} = ["{c}"]' for c in self.classes)
        return f"conditions = {{ {pairs} }}"

    @property
    def models(self) -> dict[str, tuple[str, str]]:
        """Features, and table of the model, of each of the four."""
        last = "LogisticRegression" if self.classes else "Ridge"
        scale = "probabilities" if self.classes else "values"
        networks = {
            "braindecode": ("braindecode.models:EEGNet", 3e-3),
            "torch": ("pocket_net:PocketNet", 1e-2),
        }
        return {
            "scikit-learn": (TOKENS, PIPELINE.format(last=last)),
            "onnx": (TOKENS, ONNX.format(scale=scale)),
            **{
                name: (
                    WINDOWS,
                    NETWORK.format(network=net, epochs=self.epochs, rate=rate),
                )
                for name, (net, rate) in networks.items()
            },
        }

    def write(self, folder: Path) -> list[Path]:
        """Write what a user has: a network, chains, and four training files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{TRUST}.py").write_text(NET, "utf-8")
        (folder / "chains.toml").write_text(CHAINS.format(stream=self.stream), "utf-8")
        paths = []
        for name, (form, model) in self.models.items():
            path = folder / f"{name}.toml"
            people = json.dumps([*self.participants, self.held_out])
            text = FILE.format(
                dataset=self.dataset, folder=self.folder, participants=people,
                target=self.target, every=self.every, form=form, model=model,
                k=self.k, held_out=self.held_out, name=name,
            )  # fmt: skip
            path.write_text(text, "utf-8")
            paths.append(path)
        return paths


class TrainedModel(NamedTuple):
    """A trained model: its evaluation, its weights, and its session file."""

    outcome: TrainingOutcome
    weights: model_card.Weights
    session: Path


class LabelledTokens(NamedTuple):
    """Tokens as a model reads them, shape (n, f), and their labels, shape (n,)."""

    x: Array
    y: Array


def labelled_tokens(
    plan: Plan, file: TrainingFile, codes: Iterable[str]
) -> LabelledTokens:
    """Return tokens of some participants, and their classes or ratings.

    A session gives a model its features less the level of the baseline, here the mean
    over participants: so must whoever trains a file elsewhere.
    """
    source = DataSource(plan.dataset, plan.folder, tuple(codes))
    reader = TickReader(file.chains, None, file.trust)
    parts: list[RecordingMoments] = []
    y: list[float] = []
    for entry in open_source(source, [file.path.parent, Path()], file.trust).entries:
        ticks = reader.read(entry)
        settings = replace(
            file.features, columns=shared_columns([ticks], file.features)
        )
        moments = moments_of(ticks, settings, [True] * len(ticks.spans))
        labels = [
            plan.classes.index(s.name) if plan.classes else s.answers["arousal"]
            for s in ticks.spans
        ]
        parts.append(moments)
        y += [labels[k] for k in moments.span]
    prior = baseline_prior(parts, file.features.every)
    x = np.concatenate([relative(part, prior)[0] for part in parts])
    return LabelledTokens(x, np.array(y))


def write_onnx(plan: Plan, file: TrainingFile, path: Path) -> None:
    """Write an ONNX file, trained by scikit-learn alone on people elsewhere."""
    tokens = labelled_tokens(plan, file, plan.elsewhere)
    last: Any = LogisticRegression(max_iter=2000) if plan.classes else Ridge(10.0)
    whole = np.isfinite(tokens.x).all(axis=1)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), PCA(6), last)
    fitted = pipeline.fit(tokens.x[whole], tokens.y[whole])
    path.write_bytes(to_graph(fitted, tokens.x.shape[1]).tobytes())


def train(plan: Plan, folder: Path, report: OnProgress) -> dict[str, TrainedModel]:
    """Train all four by `physio train`; return each with its session file."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    trust = (*plan.trust, TRUST)
    trained = {}
    paths = plan.write(folder)
    write_onnx(plan, read_training(paths[0], trust), folder / "elsewhere.onnx")
    (folder / "features").mkdir(exist_ok=True)
    for path in paths:
        prepared = prepare(read_training(path, trust), None, folder)
        prepared.work.mkdir(exist_ok=True)
        if not (prepared.work / "features").exists():  # the same for all four
            (prepared.work / "features").symlink_to(folder / "features")
        outcome = evaluate_training(prepared, report)
        command = f"physio train {path.name} --trust {TRUST}"
        weights = write_weights(prepared, outcome, command, lambda _: None)
        session = folder / f"{path.stem}-session.toml"
        head = '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
        chains = (folder / "chains.toml").read_text("utf-8")
        session.write_text(f"{head}{session_line(prepared.out)}\n{chains}", "utf-8")
        trained[path.stem] = TrainedModel(outcome, weights, session)
    return trained


def compared(plan: Plan, trained: Mapping[str, TrainedModel]) -> Evaluation:
    """Return all four and their controls in one table, with Holm's differences."""
    control = "logistic regression" if plan.classes else "ridge regression"
    metrics = ("AUC", "log loss") if plan.classes else ("RMSE", "negative log density")
    options = EvaluationOptions(metrics, control, per_segment=not plan.classes)
    parts = {name: model.outcome.evaluation for name, model in trained.items()}
    return side_by_side(parts, options)


def answers(plan: Plan, model: TrainedModel, recording: Recording) -> Block:
    """Return what a session answers to a recording."""
    return estimate(recording, model.session, trust=(*plan.trust, TRUST))


def in_noise(recording: Recording, stream: str, size: float = 8.0) -> Recording:
    """Return a recording whose EEG is replaced by noise as from a loose cap.

    ``size``: its standard deviation, times that of the signal.
    """
    rng = np.random.default_rng(0)
    noisy = []
    for block in recording.streams[stream]:
        noise = rng.normal(0, size * block.data.std(axis=0), block.data.shape)
        noisy.append(replace(block, data=noise))
    return replace(recording, streams={**recording.streams, stream: tuple(noisy)})


def main() -> None:
    """Train on eegmat, compare, replay the participant held out, write results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--out", type=Path, help="folder of the weights")
    given = parser.parse_args()
    data = Eegmat(given.data / "eegmat")
    codes = tuple(dict.fromkeys(t.subject for t in data.trials()))
    others = codes[given.people + 1 : given.people + 7]
    plan = Plan(
        "eegmat", str(data.root.resolve()), "neurocom.eeg", codes[: given.people],
        codes[given.people], others, ("rest", "arithmetic"),
    )  # fmt: skip
    with TemporaryDirectory() as temporary:
        folder = (given.out or Path(temporary)).resolve()
        trained = train(plan, folder, _print)
        evaluation = compared(plan, trained)
        live = {name: _live(plan, data, model) for name, model in trained.items()}
    print(results.summary(evaluation))
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"live": live, **_figures(evaluation)}, indent=1)
    (RESULTS / "four-models.json").write_text(text + "\n", "utf-8")
    print(json.dumps(live, indent=1))


def _print(progress: RunProgress) -> None:
    """Print the present work."""
    print(progress.text, progress.figure, file=sys.stderr)


def _live(plan: Plan, data: Eegmat, model: TrainedModel) -> dict[str, Any]:
    """Return what a session answers to the participant held out."""
    out: dict[str, Any] = {}
    for trial in data.trials():
        if trial.subject != plan.held_out:
            continue
        recording = data.load(trial)
        odds = answers(plan, model, recording).column("condition.arithmetic")
        noise = answers(plan, model, in_noise(recording, plan.stream)).column(
            "condition.arithmetic"
        )
        abstains = ~np.isfinite(noise) | (np.abs(noise - 0.5) < 0.05)
        out[trial.trial] = {
            "mean odds of arithmetic": round(float(np.nanmean(odds)), 3),
            "ticks answered": round(float(np.isfinite(odds).mean()), 3),
            "in noise: missing or within 0.05 of equal odds": round(
                float(abstains.mean()), 3
            ),
        }
    return out


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return the rows and differences of a table, without single participants."""
    rows = [{k: v for k, v in r.items() if k != "per_participant"}
            for r in evaluation.rows]  # fmt: skip
    return {
        "participants": list(evaluation.participants),
        "moments": len(evaluation.tested),
        "rows": rows,
        "paired": list(evaluation.paired),
    }


if __name__ == "__main__":
    main()
