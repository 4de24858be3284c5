"""Contrastive pre-training on simulated truth, and the audit of its people."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.contrastive.audit import contamination, refused
from experiments.contrastive.compare import auc_of, draws
from experiments.contrastive.encoders import (
    Pretraining,
    batches,
    pairs_loss,
    pretrained,
    retrieval,
)
from experiments.contrastive.minutes import (
    Minutes,
    Track,
    raw_minutes,
    relative,
    unlabelled,
)
from experiments.contrastive.probes import (
    Reading,
    changes,
    linear,
    read_whole,
    whole,
)
from experiments.contrastive.simulated import mispaired
from experiments.literature.judgement import fixed
from wrist_people import PAIR, wrists

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "contrastive"


@pytest.fixture(scope="module")
def truth() -> dict[str, float]:
    """Return pairs found, and AUC with one labelled person, by kind of people."""
    settings, reading = Pretraining(steps=100), Reading()
    out = {}
    for common in (True, False):
        given = wrists(40, 1, common=common).minutes
        data = wrists(32, 2, common=common)
        test = np.flatnonzero(data.used & (data.minutes.person >= "lab P010"))
        for steps in (100, 0):
            model = pretrained(given, replace(settings, steps=steps), 3)
            z = changes(
                model.embed(data.minutes, reading.sensors),
                data.minutes.person,
                data.rest,
            )
            ((_, train),) = draws(data, test, (1,), 5)
            p = linear(z, data, train, test, reading)
            key = f"{common} {steps}"
            out[f"auc {key}"] = float(np.mean(list(auc_of(data, p, test).values())))
            out[f"found {key}"] = retrieval(model, data.minutes, PAIR, 4)
    drawn = np.random.default_rng(6).permutation(data.y)
    data = replace(data, y=drawn)
    ((_, train),) = draws(data, test, (0,), 5)
    p = linear(z, data, train, test, reading)
    found = list(auc_of(data, p, test).values())
    out["auc of random labels"] = float(np.nanmean(found))
    return out


def test_sensors_with_a_common_cause_are_paired(truth: dict[str, float]) -> None:
    assert truth["found True 100"] > 0.15
    assert truth["found True 0"] < 0.12


def test_independent_sensors_are_paired_by_chance(truth: dict[str, float]) -> None:
    assert truth["found False 100"] < 0.12  # chance: 0.0625


def test_pretraining_recovers_a_common_cause_from_one_labelled_person(
    truth: dict[str, float],
) -> None:
    assert truth["auc True 100"] > truth["auc True 0"] + 0.02
    assert truth["auc True 100"] > 0.85


def test_labels_of_nothing_are_not_recovered(truth: dict[str, float]) -> None:
    assert truth["auc of random labels"] == pytest.approx(0.5, abs=0.1)


def test_training_as_a_whole_learns_and_the_start_is_unchanged() -> None:
    data = wrists(12, 7)
    start = pretrained(data.minutes, Pretraining(steps=0), 1)
    before = {k: v.clone() for k, v in start.state_dict().items()}
    test = np.flatnonzero(data.used & (data.minutes.person >= "lab P006"))
    ((_, train),) = draws(data, test, (0,), 1)
    reading = Reading(steps=30, rate=3e-3)
    p = read_whole(whole(start, data, train, reading, 1), data, test, reading)
    assert np.mean(list(auc_of(data, p, test).values())) > 0.85
    assert all(torch.equal(v, before[k]) for k, v in start.state_dict().items())


def test_the_loss_is_the_mean_over_pairs_and_directions() -> None:
    z = torch.nn.functional.normalize(torch.randn(3, 6, 8), dim=-1)
    present = torch.ones(3, 6, dtype=torch.bool)
    present[1, 4:] = False  # four minutes with the second sensor
    present[2, 3:] = False  # three with the third: no pair
    similar = (z[0, :4] @ z[1, :4].T / 0.07).double().numpy()
    by_hand = [
        -np.mean([m[i, i] - np.log(np.exp(m[i]).sum()) for i in range(4)])
        for m in (similar, similar.T)
    ]
    loss = float(pairs_loss(z, present, 0.07))
    assert loss == pytest.approx(np.mean(by_hand), rel=1e-4)
    assert np.isnan(float(pairs_loss(z, present & False, 0.07)))


def test_a_batch_has_one_minute_of_each_trial_of_one_laboratory() -> None:
    one, other = wrists(20, 1).minutes, wrists(9, 2).minutes
    other = replace(
        other,
        laboratory=np.full(len(other), "far"),
        trial=np.char.replace(other.trial, "lab", "far"),
    )
    both = Minutes.joined([one, other])
    seen = set()
    for rows in batches(both, 12, 40, np.random.default_rng(1)):
        assert len(set(both.laboratory[rows])) == 1
        assert len(set(both.trial[rows])) == len(rows)
        seen |= set(both.laboratory[rows])
    assert seen == {"lab", "far"}


def test_mispaired_minutes_keep_the_distribution_of_each_sensor() -> None:
    given = wrists(6, 1).minutes
    other = mispaired(given, 1)
    for sensor in PAIR:
        a, b = (np.sort(m.signals[sensor], axis=0) for m in (given, other))
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(given.signals["skin"], other.signals["skin"])


def recording(begin: float, seconds: int, seed: int) -> dict[str, Track]:
    rng = np.random.default_rng(seed)
    skin = 2 + np.cumsum(rng.normal(0, 0.01, seconds * 8))[:, None]
    heart = 70 + rng.normal(0, 1, seconds)[:, None]
    return {"skin": Track(skin, 8.0, begin), "heart": Track(heart, 1.0, begin + 10)}


def test_minutes_are_cut_by_time_and_absent_sensors_are_missing() -> None:
    tracks = recording(100.0, 200, 1)
    raw = raw_minutes(tracks, np.array([99.0, 100.0, 130.0, 250.0]))
    assert np.isfinite(raw["skin"][:, 0, 0]).tolist() == [False, True, True, False]
    assert np.isfinite(raw["heart"][:, 0, 0]).tolist() == [False, False, True, True]
    assert np.isnan(raw["motion"]).all()
    skin = tracks["skin"].data[240:720, 0].reshape(240, 2).mean(axis=1)
    np.testing.assert_allclose(raw["skin"][2, 0], skin)
    parts = raw["skin"][2, 1] + raw["skin"][2, 2]
    assert np.abs(parts - skin).max() < 0.1
    np.testing.assert_allclose(raw["heart"][2, 0], tracks["heart"].data[20:80, 0])


def test_minutes_are_relative_to_the_first_and_free_of_the_level() -> None:
    raw = raw_minutes(recording(0.0, 600, 2), np.arange(10, 500, 60.0))
    first = np.arange(len(raw["skin"])) < 2
    whose = np.full(len(first), "P")
    one = relative(raw, whose, first)
    triple = {**raw, "skin": 3 * raw["skin"], "heart": raw["heart"] + 9}
    for sensor in PAIR:
        np.testing.assert_allclose(
            one[sensor], relative(triple, whose, first)[sensor], atol=1e-5
        )
    lacking = {**raw, "heart": np.where(first[:, None, None], np.nan, raw["heart"])}
    assert np.isnan(relative(lacking, whose, first)["heart"]).all()


def test_shared_samples_laboratories_and_people_are_contamination() -> None:
    far = unlabelled(recording(0.0, 900, 3), "far", "far P1", "1")
    shifted = recording(0.0, 900, 3)
    skin = shifted["skin"]
    shifted["skin"] = skin._replace(data=2 * skin.data[56:])  # 7 s later, doubled
    copy = unlabelled(shifted, "near", "near P1", "1")
    other = unlabelled(recording(0.0, 900, 4), "near", "near P1", "1")
    assert contamination(far, other).clean
    assert contamination(far, copy).runs > 10
    assert contamination(other, copy).people == ("near P1",)
    with pytest.raises(ValueError, match="contains what is tested in near"):
        refused(contamination(far, copy), "near")


def test_the_primary_comparison_is_the_one_fixed_before_the_run() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"]["judgement"]["sha256"] == fixed(FOLDER)
