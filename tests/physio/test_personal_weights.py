"""Estimator state of a participant: losses, ratings and calibrations."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block
from physio.core.events import event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.stage import StageRunner
from physio.inference import self_report
from physio.inference.calibration import Calibration
from physio.inference.estimator import Estimator
from physio.inference.expert import BoundExpert
from physio.models import model_card
from physio.models.personalization import RatedMoment, personalize
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig
from physio.training.save_weights import renew_example
from tests.physio.test_estimator import INFO, RATE, estimator, rows, run, wrist


def knowing(folder: Path, **more: Array) -> str:
    """Return weights that also know how participants differ, and what is usual."""
    name = wrist(folder)
    stored = model_card.load(name)
    model_card.save(Path(name), stored.card, {**stored.arrays, **more})
    renew_example(Path(name))
    model_card._load.cache_clear()
    return name


OWN = np.tile(np.array([[0.04]]), (3, 1, 1))


def test_what_moved_an_estimate_adds_up(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows()
    x[300:340, 4:7] = MissingReason.NO_SIGNAL.nan
    out = run(estimator(name), x)
    prior = model_card.load(name).arrays["prior.mean"]
    for d, dimension in enumerate(DIMENSIONS[:2]):
        parts = [
            out.column(n)
            for n in out.info.names
            if n.startswith(f"{dimension}.contribution.")
        ]
        total = prior[d] + np.sum(parts, axis=0)
        np.testing.assert_allclose(total, out.column(dimension), atol=1e-12)
        np.testing.assert_allclose(
            out.column(f"{dimension}.contribution.other"), 0, atol=1e-12
        )
    assert np.all(out.column("arousal.contribution.heart.rate")[300:340] == 0)
    assert np.ptp(out.column("arousal.contribution.eda.scr_rate")) > 0.1


def test_bands_of_a_network_share_what_it_says() -> None:
    torch.manual_seed(1)
    net = RBTransformer(
        RBTransformerConfig(electrodes=3, bands=4, head="affect")
    ).eval()
    z = np.random.default_rng(1).standard_normal(12)
    z[4] = np.nan  # the second electrode is out
    mean, sd, parts = net.explain(z, np.zeros(12))
    whole, rest = net.predict(z, np.zeros(12)), np.where(np.isnan(z), z, 0.0)
    # float32 sums, in batches of another size
    np.testing.assert_allclose([mean, sd], whole, atol=1e-5)
    step = whole[0] - net.predict(rest, np.zeros(12))[0]
    np.testing.assert_allclose(parts.sum(axis=1), step, atol=1e-5)
    assert np.all(parts.reshape(3, 3, 4)[:, 1] == 0)


def test_a_sensor_that_is_back_counts_as_its_window_fills(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows(1200)
    whole = run(estimator(name), x.copy()).column("arousal.sd")
    x[500:760, :4] = MissingReason.NO_SIGNAL.nan  # the skin, its window 60 s, for 65 s
    out = run(estimator(name), x)
    sd, mean = out.column("arousal.sd"), out.column("arousal")
    assert sd[500] > whole[500] + 1e-3
    back = sd[760 : 760 + 60 * RATE]
    assert np.all(np.diff(back) <= 1e-12)
    assert back[0] == pytest.approx(sd[759], abs=1e-3)
    assert back[30 * RATE] > whole[0:][760 + 30 * RATE] + 1e-4
    np.testing.assert_allclose(sd[760 + 60 * RATE :], whole[760 + 60 * RATE :])
    assert np.abs(mean[760] - mean[759]) < 1.96 * sd[759]


def test_one_lost_tick_costs_one_tick_of_a_window(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows()
    whole = run(estimator(name), x.copy()).data
    x[400, 4:7] = MissingReason.NO_SIGNAL.nan
    out = run(estimator(name), x).data
    np.testing.assert_array_equal(out[402:], whole[402:])


def test_a_moment_unlike_any_other_is_nearer_to_the_prior(tmp_path: Path) -> None:
    name = knowing(tmp_path / "wrist", **{"density.limit": np.array([2.33])})
    free = knowing(tmp_path / "free")
    x = rows()
    x[400:, 1] = 40.0
    x[400:, 4] = 45.0  # many responses of the skin, and a heart far below its rest
    out, unlimited = run(estimator(name), x), run(estimator(free), x)
    prior = model_card.load(name).arrays
    off = [
        np.abs(o.column("arousal") - prior["prior.mean"][1])[420:]
        for o in (out, unlimited)
    ]
    assert np.all(off[0] < 0.5 * off[1])
    assert np.all(out.column("arousal.sd")[420:] > unlimited.column("arousal.sd")[420:])
    assert np.all(np.abs(out.column("arousal")[420:]) <= 1)
    assert (
        np.mean(out.column("arousal")[240:400] != unlimited.column("arousal")[240:400])
        < 0.1
    )
    assert set(out.column("dominance.missing")) == {MissingReason.UNTRAINED}


def said(values: list[float], at: float = 100.0) -> object:
    return self_report.rating(at, values)


def test_a_rating_moves_what_follows_and_no_continuous_one_does(tmp_path: Path) -> None:
    name, x = knowing(tmp_path / "wrist", **{"participant.cov": OWN}), rows()
    flow = StageRunner(estimator(name), INFO)
    a, b = Block(INFO, 0, 0.0, x).split([400])
    flow.push(a)
    kept = flow.state
    plain = flow.push(b)
    flow.state = kept
    flow.on_events(
        self_report.rating(100.0, [np.nan, 1.0, np.nan], self_report.CONTINUOUS)
    )
    np.testing.assert_array_equal(flow.push(b).data, plain.data)
    flow.state = kept
    flow.on_events(self_report.rating(100.0, [np.nan, 1.0, np.nan]))
    own = flow.push(b)
    step = own.column("arousal") - plain.column("arousal")
    assert np.all(step > 0.02)
    np.testing.assert_allclose(step, own.column("arousal.contribution.participant"))
    assert np.all(own.column("arousal.sd") < plain.column("arousal.sd"))
    np.testing.assert_array_equal(own.column("valence"), plain.column("valence"))
    # of columns of its own, each expert says what it says of anybody
    np.testing.assert_array_equal(
        own.column("wrist.arousal"), plain.column("wrist.arousal")
    )


def test_a_participants_offset_is_the_posterior_of_a_gaussian() -> None:
    rng = np.random.default_rng(4)
    cov, noise = 0.09, 0.25
    mean, sd = np.zeros(3), np.full(3, np.sqrt(cov + noise))
    labels = [RatedMoment(mean, sd, r) for r in rng.normal(0, 0.5, (3, 3))]
    got = personalize(mean, sd, mean, np.full((3, 1, 1), cov), labels)
    offs = np.mean([x.rating for x in labels], axis=0)
    post = 1 / (1 / cov + 3 / noise)
    np.testing.assert_allclose(got[0], post * 3 / noise * offs)
    np.testing.assert_allclose(got[1] ** 2, noise + post)
    same = personalize(mean, sd, mean, np.zeros((3, 1, 1)), labels)
    for a, b in zip(same, (mean, sd), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_participants_gain_is_learned_from_ratings_that_go_the_other_way() -> None:
    cov = np.tile(np.diag([0.01, 2.0]), (3, 1, 1))
    sd = np.full(3, 0.4)
    labels = [RatedMoment(np.full(3, m), sd, np.full(3, -m)) for m in (-0.4, 0.4)]
    mean, _ = personalize(np.full(3, 0.3), sd, np.zeros(3), cov, labels)
    assert np.all(mean < 0.0)


def test_a_calibration_repeats_what_was_known(tmp_path: Path) -> None:
    name, x = knowing(tmp_path / "wrist", **{"participant.cov": OWN}), rows()
    stage = estimator(name)
    first = StageRunner(stage, INFO)
    first.push(Block(INFO, 0, 0.0, x[:400]))
    first.on_events(self_report.rating(99.0, [0.5, 1.0, np.nan]))
    made = stage.calibration(first.state[0], "p07")
    path = tmp_path / "p07.json"
    made.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 4000
    again = StageRunner(stage, INFO)
    again.on_events(Calibration.read(path).event(0.0))
    tail = np.ascontiguousarray(x[400:])
    expected = first.push(Block(INFO, 400, 0.0, tail)).data
    got = again.push(Block(INFO, 0, 100.0, tail.copy())).data
    np.testing.assert_array_equal(got, expected)


def test_a_rest_can_be_ended_before_its_time(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows()
    x[:, 4] = 75.0
    x[120:, 4] = 90.0
    told = event_stream("session.markers")
    flow = StageRunner(estimator(name), INFO)
    a, b = Block(INFO, 0, 0.0, x).split([120])
    flow.push(a)
    flow.on_events(single_event(told, 30.0, "baseline end"))
    ended = flow.push(b).column("arousal")[-1]
    assert ended > run(estimator(name), x).column("arousal")[-1] + 0.1


def bound(name: str) -> BoundExpert:
    return BoundExpert.bind(estimator(name).experts[0], INFO)


def test_a_calibration_of_something_else_is_refused(tmp_path: Path) -> None:
    name = wrist(tmp_path / "wrist")
    stage = estimator(name)
    flow = StageRunner(stage, INFO)
    flow.push(Block(INFO, 0, 0.0, rows()))
    made = stage.calibration(flow.state[0], "p07")
    assert made.refusals([bound(name)]) == []
    (own,) = made.experts
    other = replace(made, experts=(replace(own, columns=("eeg.de.alpha.F3",) * 3),))
    assert other.refusals([bound(name)]) == [
        "the calibration is of another montage: it has eeg.de.alpha.F3, "
        "eeg.de.alpha.F3, eeg.de.alpha.F3, but 'wrist' reads eda.scr_rate, eda.tonic, "
        "heart.rate in this session"
    ]
    newer = replace(made, experts=(replace(own, sha256="0"),), labels=((0.0,) * 9,))
    assert newer.refusals([bound(name)]) == [
        "the weights 'wrist' are not those of the calibration: its baseline is used, "
        "its ratings are not"
    ]
    assert replace(made, experts=()).refusals([bound(name)]) == [
        "the calibration has no baseline for 'wrist'"
    ]
    plain = flow.push(Block(INFO, 600, 0.0, rows()[:1])).data
    flow.on_events(other.event(0.0))  # no use to this montage: nothing changes
    assert flow.push(Block(INFO, 601, 0.0, rows()[:1])).data.shape == plain.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "p is of version 9; this program reads version 1: calibrate "
         "anew"),
        ({"labels": [[1.0]]}, "p is damaged: calibrate anew"),
        ({"experts": [{"weights": "x"}]}, "p is damaged: calibrate anew"),
        (None, "p is no calibration file"),
    ],
)  # fmt: skip
def test_files_that_are_none(change: dict[str, object] | None, message: str) -> None:
    text = (
        "{}"
        if change is None
        else json.dumps({**json.loads(Calibration().text()), **change})
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        Calibration.parse(text, "p")
    stage = Estimator()
    flow = StageRunner(stage, INFO)
    flow.on_events(replace_text(text))
    assert len(flow.push(Block(INFO, 0, 0.0, rows(4)))) == 4


def replace_text(text: str) -> object:
    return single_event(event_stream("session.calibration"), 0.0, text)
