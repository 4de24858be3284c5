"""Contact artifacts: removed before the decomposition, alike at every rate."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import events_from_grid
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, StageRunner, apply
from physio.features.eda.contact_artifacts import find_artifacts, without_artifacts
from physio.features.eda.decomposition import decompose
from physio.features.eda.scr_detection import ScrDetection
from physio.online.shipped_chains import default_chains

SECONDS = 240
RATES = ("4", "15.6", "64", "700", "2000")
ONSETS, SIZES = np.array([40.0, 62.0, 85.0, 170.0, 225.0]), (0.5, 0.3, 0.8, 0.4, 1.0)
BEGINS, ENDS = 110.0, 114.0  # s


def skin(rate: float, noise: float = 0.003) -> Array:
    """Return five responses that rise for 2 s and halve every 3 s, on 3 uS."""
    t = np.arange(int(SECONDS * rate)) / rate
    s = t[:, None] - ONSETS
    rise = np.sin(np.pi / 4 * np.clip(s, 0, 2)) ** 2
    x = 3 + (SIZES * rise * 0.5 ** (np.clip(s - 2, 0, None) / 3)).sum(axis=1)
    return np.asarray(x + np.random.default_rng(3).normal(0, noise, len(x)))


def gain(t: Array, kind: str) -> Array:
    """Return the factor by which the contact changes the conductance at ``t``."""
    places, factors = {
        "dip": ([0, 0.5, 2, 4], [1, 0.7, 0.75, 1]),
        "slip": ([0, 0.5, 13, 13.5], [1, 0.8, 0.8, 1]),
        "step down": ([0, 0.4], [1, 0.85]),
        "step up": ([0, 0.3], [1, 1.2]),
        "spike": ([0, 0.5, 1], [1, 1.5, 1]),
    }[kind]
    return np.asarray(np.interp(t - BEGINS, places, factors))


def damaged(rate: float, kind: str) -> Array:
    x = skin(rate)
    return x * gain(np.arange(len(x)) / rate, kind)


def stream(rate: str = "4") -> StreamInfo:
    return StreamInfo("band.eda", Fraction(rate), (Channel("eda", "gsr", "uS"),))


def chain(info: StreamInfo) -> Chain:
    stages = default_chains([info], ["eda"])["eda"]["stages"]
    return Chain(tuple(config.build(stage, "chains.toml") for stage in stages))


def features(rate: str, x: Array) -> Block:
    info = stream(rate)
    return apply(chain(info), Block(info, 0, 0.0, np.ascontiguousarray(x[:, None])))


def removed(block: Block) -> Array:
    """Return whether the level is missing as an artifact, per second."""
    return np.asarray(missing_reason(block.column("tonic")) == MissingReason.ARTIFACT)


KINDS = ("dip", "slip", "step down", "step up", "spike")


@pytest.mark.parametrize("kind", KINDS)
def test_changes_that_skin_does_not_make_are_artifacts(kind: str) -> None:
    bad = find_artifacts(damaged(4, kind))
    t = np.arange(len(bad)) / 4
    assert bad[(t >= BEGINS) & (t <= BEGINS + 0.5)].all()
    assert not bad[(t < BEGINS - 1) | (t > BEGINS + 30)].any()
    if kind in ("dip", "spike"):
        assert not bad[t > ENDS + 3].any()
    if kind == "slip":  # held for 10 s, and its return
        assert bad[(t >= BEGINS) & (t <= BEGINS + 9)].all()
        assert bad[(t >= BEGINS + 13) & (t <= BEGINS + 13.5)].any()


def test_responses_are_no_artifacts() -> None:
    assert not find_artifacts(skin(4)).any()
    assert not find_artifacts(0.2 * skin(4)).any()
    t = np.arange(0, 120, 0.25)
    for onset in (60.0, 60.1):  # the shape that the solver assumes, with a sharp onset
        s = np.clip(t - onset, 0, None)
        assert not find_artifacts(2 + 3 * (np.exp(-s / 2) - np.exp(-s / 0.7))).any()
    noise = 3 + np.random.default_rng(1).normal(0, 0.1, 4000)
    assert find_artifacts(noise).mean() < 0.01


def test_missing_values_stay_missing_for_their_own_reason() -> None:
    y = damaged(4, "dip")
    y[100:120] = MissingReason.POOR_QUALITY.nan
    y[445:447] = MissingReason.NO_SIGNAL.nan
    reasons = missing_reason(without_artifacts(y))
    assert (reasons[100:120] == MissingReason.POOR_QUALITY).all()
    assert (reasons[445:447] == MissingReason.NO_SIGNAL).all()
    assert (reasons == MissingReason.ARTIFACT).sum() > 10
    nothing = np.full(40, MissingReason.NO_SIGNAL.nan)
    assert not find_artifacts(nothing).any()
    assert not find_artifacts(nothing[:0]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_level_does_not_follow_and_a_return_is_no_response(kind: str) -> None:
    x = damaged(4, kind)
    y, expected = features("4", x), features("4", skin(4))
    assert removed(y).any()
    times = y.times - 5
    error = abs(y.column("tonic") / (expected.column("tonic") * gain(times, kind)) - 1)
    late = np.nanmax(error[(times > BEGINS) & (times < BEGINS + 9)], initial=0)
    assert np.nanmax(error[(times < BEGINS) | (times > BEGINS + 9)]) < 0.05
    assert late < (0.15 if kind == "step up" else 0.05)  # knots are 10 s apart
    slopes = y.column("slope"), expected.column("slope")
    assert np.nanmax(abs(slopes[0] - slopes[1])) < 0.1
    block = Block(stream(), 0, 0.0, x[:, None].copy())
    responses = events_from_grid(apply(ScrDetection(), block))
    near = np.abs(responses.times[:, None] - ONSETS).min(axis=1)
    assert (near < 1.6).all()
    assert len(responses) == len(ONSETS)
    before = events_from_grid(apply(ScrDetection(artifacts=False), block))
    invented = np.abs(before.times[:, None] - ONSETS).min(axis=1) > 1.6
    assert invented.any() or kind.startswith("step")


def test_verdicts_do_not_depend_on_the_rate() -> None:
    for kind in KINDS:
        expected = removed(features("4", damaged(4, kind)))
        assert expected.any()
        for rate in RATES[1:]:
            y = features(rate, damaged(float(Fraction(rate)), kind))
            different = removed(y) != expected
            assert different.sum() <= 2, (kind, rate)  # the seconds of two edges


def test_verdicts_do_not_depend_on_the_blocks() -> None:
    info = stream("15.6")
    whole = Block(info, 0, 0.0, damaged(15.6, "slip")[:2500, None].copy())
    expected = apply(chain(info), whole)
    assert removed(expected).any()
    rng = np.random.default_rng()
    cuts = sorted(rng.choice(len(whole), 100, replace=False).tolist())
    runner = StageRunner(chain(info), info)
    parts = [runner.push(block).data for block in whole.split(cuts)]
    assert np.vstack(parts).tobytes() == expected.data.tobytes()


def test_the_proportion_of_artifacts_is_a_quality() -> None:
    y = features("4", damaged(4, "dip"))
    share = y.column("artifacts")
    assert np.isnan(share[:30]).all()
    assert share[int(BEGINS) - 1] == 0
    assert 0.05 < share[int(ENDS) + 5] < 0.5
    assert share[int(ENDS) + 40] == 0
    kinds = {c.name: c.kind for c in y.info.channels}
    assert kinds["artifacts"] == kinds["dry"] == "quality"


def test_dry_electrodes_are_dry_and_those_off_the_skin_missing() -> None:
    y = features("4", 0.01 * skin(4))
    assert (y.column("dry")[40:] == 1).all()
    assert np.isfinite(y.data[70:]).all()
    assert (features("4", skin(4)).column("dry")[40:] == 0).all()
    off = features("4", np.full(960, 0.004))
    reasons = missing_reason(off.column("tonic")[40:])
    assert (reasons == MissingReason.POOR_QUALITY).all()


def test_dips_of_an_embraceplus_give_no_response(data: Path) -> None:
    file = data.parent / "cases/wear/25-contact-dips/eda_4hz_300to550s.txt"
    if not file.is_file():
        pytest.skip(f"no such recording: {file}")
    y = np.loadtxt(file)
    block = Block(stream(), 0, 0.0, y[:, None].copy())
    amplitude = events_from_grid(apply(ScrDetection(), block)).data[:, 0]
    assert (amplitude < 0.05).all()
    tonic = features("4", y).column("tonic")
    assert np.nanmin(tonic) > 2.35  # that of the undisturbed stretches
    whole = decompose(without_artifacts(y), 4)
    assert np.nanmax(whole.phasic) < 0.2
