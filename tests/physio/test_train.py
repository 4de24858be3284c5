"""Training: live features, fits without leakage, scores in held-out participants."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from devices.simulated import Headset, Wristband
from experiments.weights import rating_error
from experiments.weights.demo import TrainDemo, record
from experiments.weights.live_features import features, rated_segments, shipped_chain
from experiments.weights.split_audit import audited
from physio.core.aligner import TickGrid
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.evaluation import config
from physio.evaluation.splits import Loso
from physio.models import model_card
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.engine import run as live
from physio.training.gaussian import GaussianRecipe, learn, moments, rests
from physio.training.participant_data import ParticipantData, RatedSegment

ROOT = Path(__file__).resolve().parents[2]
INFO = StreamInfo(
    "features", Fraction(4), (Channel("eda.scr_rate"), Channel("heart.rate"))
)
RECIPE = GaussianRecipe(
    (("eda.scr_rate", "raw"), ("heart.rate", "raw")), rest=60.0, settle=0.0, every=5.0
)


def participant(seed: int, tells: float = 0.7) -> ParticipantData:
    """Return someone whose ratings are in the features, beside a level of their own."""
    rng = np.random.default_rng(seed)
    n = 4 * 60
    level = rng.normal(0, 5, 2)
    units, parts = [], [rng.normal(0, 0.3, (n, 2))]  # a minute of rest comes first
    for k in range(6):
        felt = rng.normal(0, 0.4)
        moved = felt * tells + rng.normal(0, 0.2, 2)
        parts.append(moved + rng.normal(0, 0.3, (n, 2)))
        ratings = np.array([-felt, felt, np.nan])
        units.append(RatedSegment(f"{k}", 60.0 * (k + 1), 60.0 * (k + 2), ratings))
    rows = Block(INFO, 0, 0.0, np.ascontiguousarray(level + np.concatenate(parts)))
    return ParticipantData(f"P{seed}", rows, tuple(units))


def test_features_are_those_of_a_live_session() -> None:
    recording = record(Wristband(seed=5), 90.0)
    chains = {"eda": "participant.eda", "motion": "participant.acc"}
    plan = PipelineConfig(
        {name: ChainConfig(s, shipped_chain(name)) for name, s in chains.items()},
        TickGrid(),
    )
    ticks = [b for b in live(recording, plan) if b.info.name == "features"]
    rows = features(recording, chains)
    names = ticks[0].info.names[: len(rows.info.names)]
    assert rows.info.names == names
    others = ticks[0].info.names[len(names) :]
    assert all(name.startswith("wear.") for name in others)
    expected = np.concatenate([b.data for b in ticks])[:, : len(names)]
    np.testing.assert_array_equal(rows.data, expected)
    assert len(rows) > 300


def test_unknown_chains_and_streams_are_named() -> None:
    recording = record(Wristband(seed=5, ground_truth=False), 4.0)
    with pytest.raises(
        ValueError,
        match=r"^chains.eda reads 'e4.eda'; the recording has participant.eda, "
        r"participant.bvp, participant.acc, participant.temp$",
    ):
        features(recording, {"eda": "e4.eda"})
    with pytest.raises(
        ValueError, match=r"^there is no chain 'mood'; chains.toml has "
    ):
        shipped_chain("mood")


@pytest.mark.parametrize(("column", "value"), [("end", 130.0), ("seconds", 30.0)])
def test_units_are_conditions_with_their_ratings(column: str, value: float) -> None:
    parts = event_stream("study.conditions", Channel(column, "misc", "s"))
    said = event_stream("study.ratings", Channel("arousal"), Channel("valence"))
    events = {
        "study.conditions": Events(
            parts, 500.0, np.array([100.0]), np.array([[value]]), ("stress",)
        ),
        "study.ratings": Events(
            said, 500.0, np.array([50.0, 130.0]), np.array([[0.0, 0.0], [0.5, -0.25]])
        ),
    }
    (unit,) = rated_segments(Recording({}, events), "study")
    assert unit[:3] == ("stress", 100.0, 130.0)
    np.testing.assert_array_equal(unit.ratings, [-0.25, 0.5, np.nan])


def test_rests_are_the_levels_of_participants() -> None:
    participants = [moments(participant(seed), RECIPE) for seed in range(200)]
    rest = rests(participants, RECIPE.every)
    # levels have a standard deviation of 5; that of a variance of 200 is 10 % of it
    np.testing.assert_allclose(rest.between, 25, rtol=0.4)
    # within a unit: noise of 0.3, new at each moment
    np.testing.assert_allclose(rest.within, 0.09, rtol=0.1)
    np.testing.assert_allclose(rest.memory, RECIPE.every, rtol=0.2)
    np.testing.assert_array_equal(rest.seconds, 60)


def test_moments_leave_out_the_rest_and_the_unrated() -> None:
    someone = participant(0)
    unrated = RatedSegment("x", 120.0, 180.0, np.full(3, np.nan))
    early = RatedSegment("y", 0.0, 120.0, np.zeros(3))
    odd = ParticipantData("odd", someone.rows, (early, unrated, *someone.units[2:]))
    seen = moments(odd, replace(RECIPE, settle=10.0))
    times = np.flatnonzero(seen.unit == 0)
    assert (
        len(times) == 12
    )  # every 5 s from 60 to 120 s: before that, the participant rests
    assert 1 not in seen.unit
    assert seen.over == 4 * 60


def named(seed: int, *, leaks: bool = False) -> ParticipantData:
    """Return someone whose units are called calm and stress by turns."""
    someone = participant(seed)
    units = tuple(
        u._replace(name="stress" if k % 2 else "calm")
        for k, u in enumerate(someone.units)
    )
    rows = someone.rows
    if leaks:
        x = rows.data.copy()
        x[:, 1] = np.arange(len(x)) // 240 % 2 + 0.01 * x[:, 0]
        rows = Block(rows.info, 0, 0.0, x)
    return ParticipantData(someone.code, rows, units)


def test_what_trains_and_tests_is_audited() -> None:
    participants = [named(s) for s in range(5)]
    seen = [moments(p, RECIPE) for p in participants]
    found = audited(participants, seen, RECIPE, Loso())
    assert found.ok
    assert found.time_only is not None  # all have one order, so the time tells
    assert found.time_only.reached > 0.9
    unnamed = [participant(s) for s in range(5)]
    assert audited(unnamed, seen, RECIPE, ["P3", "P4"]).findings == ()
    leaky = [named(s, leaks=True) for s in range(5)]
    with pytest.raises(ValueError, match="leaks and is refused: gives the label"):
        audited(leaky, seen, RECIPE, Loso())


def scored(
    made, participants: list[ParticipantData]
) -> list[rating_error.HeldOutRatings]:  # type: ignore[no-untyped-def]
    found = []
    for someone in participants:
        x = someone.features(RECIPE.names)
        level, _ = made.rest.level(x[:240].mean(axis=0) * 60, np.full(2, 60.0))
        said = np.array([made.model.predict(row - level, np.zeros(2)) for row in x])
        found.append(rating_error.score(someone, said[:, 0], said[:, 1], 60.0, 0.0))
    return found


def test_learning_tells_participants_never_seen_and_how_sure_it_is() -> None:
    made = learn([moments(participant(s), RECIPE) for s in range(16)], RECIPE)
    rows = rating_error.result_rows(
        "m", scored(made, [participant(s) for s in range(100, 140)]), 0
    )
    told = {r["metric"]: r["mean"] for r in rows}
    assert told["arousal correlation within the participant"] > 0.7
    assert told["valence correlation within the participant"] > 0.7
    # 240 units: an interval of 80 % holds 80 % give or take 2.6 (one sd); 16
    # participants to learn from add as much
    assert told["arousal coverage of 80%"] == pytest.approx(0.8, abs=0.1)
    assert told["arousal coverage of 95%"] == pytest.approx(0.95, abs=0.05)


def test_where_there_is_nothing_to_learn_shrinkage_is_strong() -> None:
    mute = learn([moments(participant(s, tells=0.0), RECIPE) for s in range(8)], RECIPE)
    speaks = learn([moments(participant(s), RECIPE) for s in range(8)], RECIPE)
    assert mute.shrink > 2 * speaks.shrink


def test_coverage_counts_ratings_in_intervals() -> None:
    someone = participant(1)
    n = len(someone.rows)
    truth = np.zeros((n, 3))
    for unit in someone.units:
        truth[someone.within(unit, 0.0)] = np.nan_to_num(unit.ratings)
    off = truth + np.where(np.arange(n) % 4 == 0, 3.0, 0.1)[:, None]
    got = rating_error.score(someone, off, np.ones((n, 3)), 60.0, 0.0)
    np.testing.assert_allclose(got.coverage[:, 1], 0.75)
    np.testing.assert_allclose(got.mean[:, 1], got.ratings[:, 1] + 0.825)
    assert np.isnan(got.coverage[:, 2]).all()


def test_what_does_not_differ_has_no_highest() -> None:
    someone = participant(1)
    flat = np.zeros((len(someone.rows), 3))
    assert (
        rating_error.highest_arousal(
            rating_error.score(someone, flat, flat + 1, 0.0, 0.0)
        )
        == "-"
    )


def test_demonstration_weights_are_made_and_say_that_they_are(tmp_path: Path) -> None:
    training = TrainDemo(
        headset=Headset(preset="exaggerated", channels=("C3", "C4")),
        band=Wristband(preset="exaggerated"),
        electrodes=("C3", "C4"),
        columns=(("eda.tonic", "log"), ("motion.activity", "log")),
        participants=3,
        tested=1,
        seconds=120.0,
        every=2.0,
        epochs=1,
    )
    result = training.train(None, tmp_path)
    assert result["weights"] == {
        name: model_card.load(str(tmp_path / name)).card.sha256
        for name in ("eeg-demo", "wrist-demo")
    }
    assert result["audit"]["ok"] is True
    assert result["audit_wrist"]["protocol"] == "leave-n-subjects-out"
    assert {r["model"] for r in result["rows"]} == {"eeg-demo", "wrist-demo"}
    card = model_card.load(str(tmp_path / "eeg-demo")).card
    assert card.origin == "simulated"
    assert card.columns[4] == ("eeg.de.theta.C4", "raw")
    assert "DEMONSTRATION ONLY" in (tmp_path / "eeg-demo" / "CARD.md").read_text(
        "utf-8"
    )
    json.dumps(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^t.toml: a training file has a table \[training\] with use$"),
        (
            '[training]\nuse = "physio.core.aligner:TickGrid"',
            r"^t.toml: physio.core.aligner:TickGrid cannot train anything$",
        ),
        (
            '[trains]\nuse = "physio.core.aligner:TickGrid"',
            r"^t.toml: a training file has no setting 'trains'; it has training, "
            r"evaluation, table$",
        ),
    ],
)
def test_a_file_that_trains_nothing_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        config.read(path)


def test_without_data_it_says_where_they_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"^the weights 'wrist' are trained on WESAD: say where it is, with "
        r"--data$",
    ):
        config.train(ROOT / "experiments" / "weights" / "wrist.toml", None, tmp_path)


@pytest.mark.long
def test_the_shipped_wrist_comes_out_again_and_stress_stands_out(
    data: Path, tmp_path: Path
) -> None:
    result = config.train(
        ROOT / "experiments" / "weights" / "wrist.toml", data, tmp_path
    )
    assert result["weights"] == model_card.load("wrist").card.sha256
    stress = {
        r["model"]: sum(r["per_participant"].values())
        for r in result["rows"]
        if r["metric"] == "stress highest"
    }
    assert result["audit"]["ok"] is True
    # Time alone predicts the condition where all participants had the same order.
    same, other = (result[k]["time_only"] for k in ("audit", "audit_other_order"))
    assert same["reached"] > 5 * same["guess"]
    assert other["reached"] < 0.6 * same["reached"]
    assert result["audit_other_order"]["findings"] == []
    assert stress["wrist"] >= 11
    assert stress["responses"] >= 11
    assert stress["time only, other order"] < stress["wrist, other order"]


@pytest.mark.long
def test_the_shipped_network_of_the_wrist_comes_out_again(
    data: Path, tmp_path: Path
) -> None:
    result = config.train(
        ROOT / "experiments" / "weights" / "wrist-network.toml", data, tmp_path
    )
    assert result["weights"] == model_card.load("wrist-network").card.sha256
    assert result["audit_other_order"]["findings"] == []
    rmse = {
        r["model"]: r["mean"]
        for r in result["rows"]
        if r["metric"].startswith("30 s") and "RMSE" in r["metric"]
    }
    assert rmse["network"] < rmse["persistence"]
