"""The physics-informed network trained from a file, and live with forecasts."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.models import model_card
from physio.models.pinn import Pinn
from physio.offline.compute import estimate
from physio.training.learner import Samples, silent
from physio.training.pinn_learner import PinnLearner
from physio.training.train_card import session_line, write_weights
from physio.training.train_file import read_training
from physio.training.train_run import evaluate_training, prepare

RATE, PART = 4, 40.0
TRUST = ("test_pinn_learner",)
CHAINS = """
[chains.level]
stream = "band.eda"
stages = [{ use = "physio.dsp.iir:Lowpass", high = 0.2 }]

[chains.trace]
stream = "band.eda"
stages = [{ use = "physio.core.stage:MaskBadSamples", \
quality = { use = "physio.quality.range_checks:EdaQuality" } }]
"""
FILE = """
[data]
dataset = "test_pinn_learner:Wrists"
folder = "."
[target]
ratings = ["arousal"]
[features]
session = "chains.toml"
trace = true
baseline_seconds = 20
every = 1
[model]
use = "pinn"
epochs = 15
rate = 1e-2
[protocol]
held_out = ["P6"]
[output]
name = "net"
controls = false
"""


@dataclass(frozen=True)
class Wrists:
    """Six people whose skin conductance rises with arousal, after a broken file."""

    root: Path
    name: ClassVar[str] = "Wrists"
    citation: ClassVar[str] = "made for the tests"
    licence: ClassVar[str] = "CC0"

    def trials(self) -> tuple[Trial, ...]:
        return tuple(Trial(f"P{k}") for k in range(7))

    def load(self, trial: Trial) -> Recording:
        if trial.subject == "P0":
            raise OSError("the file is broken")
        rng = np.random.default_rng(crc32(trial.subject.encode()))
        info = StreamInfo(
            "band.eda", Fraction(RATE), (Channel("eda", "gsr", "uS"),),
            participant=trial.subject,
        )  # fmt: skip
        target, spans = [np.zeros(round(100 * RATE))], []
        for k in range(4):
            size = 0.7 * (k % 2) + rng.normal(0, 0.05)
            begin = 100 + PART * k
            answers = {"arousal": float(np.clip(size, -1, 1))}
            spans.append(ConditionSpan("ab"[k % 2], begin, begin + PART, answers))
            target.append(np.full(round(PART * RATE), size))
        wanted, level = np.concatenate(target), np.empty(round((100 + 4 * PART) * RATE))
        present = 0.0
        for i, value in enumerate(wanted):
            present += (value - present) / (6 * RATE)
            level[i] = present
        noise = rng.normal(0, 0.012, len(level)).cumsum()
        x = (rng.uniform(4, 6) + 0.8 * level + noise)[:, None]
        events = condition_events(
            spans, -1, 1, participant=trial.subject, until=len(x) / RATE
        )
        about = {"begin": "0.0", "participant": trial.subject}
        return Recording({info.name: (Block(info, 0, 0.0, x),)}, events, (), about)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pinn")
    (folder / "chains.toml").write_text(CHAINS, "utf-8")
    (folder / "net.toml").write_text(FILE, "utf-8")
    prepared = prepare(read_training(folder / "net.toml", TRUST), None, folder)
    figures: list[str] = []
    outcome = evaluate_training(prepared, lambda p: figures.append(p.figure))
    stored = write_weights(prepared, outcome, "physio train", lambda _: None)
    session = folder / "session.toml"
    head = '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
    session.write_text(f"{head}{session_line(prepared.out)}\n", "utf-8")
    return outcome, stored, session, figures


def test_it_learns_in_people_held_out(trained: Any) -> None:
    outcome, stored, _, figures = trained
    rows = {r["metric"]: r["mean"] for r in outcome.evaluation.rows}
    assert rows["r"] > 0.3
    assert stored.card.columns == (("level.eda", "raw"),)
    assert stored.card.use == "physio.models.pinn:Pinn"
    assert stored.repeated()[1] == 0.0
    assert any("held-out error" in text for text in figures)
    assert "One group of participants" in stored.card.protocol


def test_its_chains_are_those_of_a_recording_that_could_be_read(trained: Any) -> None:
    outcome, _, session, _ = trained
    assert outcome.notes == ("Wrists P0 is left out: the file is broken",)
    chains = model_card.load(str(session.parent / "net")).chains
    assert set(chains) == {"level", "trace"}


def test_a_moment_reads_its_trace(trained: Any) -> None:
    table = trained[0].moments.table
    rest = table["segment"] < 0
    after = table["end_sample"] - table["start_sample"]
    assert set(after[rest]) == {1}
    assert set(after[~rest]) == {1 + 30 * RATE}
    past = (table["start_sample"] - table["support_start_sample"])[~rest]
    assert past.min() >= 60 * RATE


def test_it_is_live_with_forecasts(trained: Any) -> None:
    _, _, session, _ = trained
    recording = Wrists(Path()).load(Trial("P6"))
    out = estimate(recording, session)
    late = slice(70 * RATE, 220 * RATE)
    assert np.isfinite(out.column("arousal")[late]).mean() > 0.95
    assert (out.column("arousal.ci80")[late] > 0).all()
    skin = recording.streams["band.eda"][0].data[:, 0]
    ahead, ends = out.column("forecast.5s")[late], [
        out.column(f"forecast.5s.{end}")[late] for end in ("low", "high")
    ]  # fmt: skip
    truth = skin[(70 + 5) * RATE : (220 + 5) * RATE]
    error = np.sqrt(np.mean((ahead - truth) ** 2))
    assert error < 1.2 * np.sqrt(np.mean((skin[late] - truth) ** 2))
    held = (truth >= ends[0]) & (truth <= ends[1])
    assert 0.5 < held.mean() <= 1
    again = [Block(b.info, b.start, b.t0, b.data) for b in
             recording.streams["band.eda"][0].split([97, 98, 500])]  # fmt: skip
    other = estimate(replace(recording, streams={"band.eda": tuple(again)}), session)
    for name in ("arousal", "forecast.30s"):
        np.testing.assert_array_equal(other.column(name), out.column(name))


def samples(trace: Array | None) -> Samples:
    x = np.random.default_rng(0).normal(size=(60, 3))
    return Samples(
        x, (x[:, 0] > 0).astype(int), np.repeat(list("abcdef"), 10), np.arange(60),
        np.full(60, ""), np.arange(60.0), classes=("calm", "task"), trace=trace,
    )  # fmt: skip


def test_it_learns_conditions() -> None:
    trace = 2 + np.random.default_rng(1).normal(0, 0.05, (60, 360))
    trace[3, :200] = np.nan
    given = samples(trace)
    model = PinnLearner(epochs=25, rate=2e-2, physics=0).fit(given, silent)
    odds = np.array([model.condition_odds(row, row) for row in given.x])
    assert (odds.argmax(axis=1) == given.y).mean() > 0.8
    assert model.conditions == ("calm", "task")
    again = Pinn.restore(vars(model.config), model.arrays())
    np.testing.assert_array_equal(again.condition_odds(given.x[0], given.x[0]), odds[0])
    assert "59 of 60 moments had a minute" in PinnLearner().trained_on(given)


def test_without_skin_conductance_it_says_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"set trace = true in \[features\]"):
        PinnLearner().fit(samples(None), silent)
    empty = samples(np.full((60, 360), np.nan))
    with pytest.raises(ValueError, match="no moment has a minute of skin conductance"):
        PinnLearner().fit(empty, silent)
