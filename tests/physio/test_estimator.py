"""The estimator: rest, reasons, demo weights, and what widens."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from physio.config import build
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import StageRunner
from physio.inference.estimator import INTERVALS, Estimator, Expert
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.fusion import fuse
from physio.models.gaussian import Gaussian, GaussianConfig
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig
from physio.training.save_weights import renew_example

RATE = 4
COLUMNS = (("eda.scr_rate", "sqrt"), ("eda.tonic", "log"), ("heart.rate", "raw"))
INFO = StreamInfo(
    "features",
    Fraction(RATE),
    (
        Channel("eda.tonic", "misc", "uS", memory=30),
        Channel("eda.scr_rate", "misc", "1/min", memory=60),
        Channel("eda.window_start", unit="s"),
        Channel("eda.window_end", unit="s"),
        Channel("heart.rate", "misc", "1/min", memory=10),
        Channel("heart.window_start", unit="s"),
        Channel("heart.window_end", unit="s"),
    ),
)
REST = BaselinePrior(
    mean=np.array([1.5, 0.5, 70.0]),
    between=np.array([0.5, 1.0, 100.0]),
    within=np.array([0.3, 0.1, 16.0]),
    memory=np.array([60.0, 60.0, 30.0]),
    seconds=np.array([60.0, 60.0, 60.0]),
)


def card(
    origin: Origin, use: str, config: object, supports: tuple[str, ...]
) -> model_card.ModelCard:
    return model_card.ModelCard(
        use, vars(config), COLUMNS, 60.0, origin, supports,
        "made up", "nobody", "CC0", "none", {}, ("tests only",), "pytest",
    )  # fmt: skip


def wrist(
    folder: Path,
    origin: Origin = Origin.MEASURED,
    supports: tuple[str, ...] = ("valence", "arousal"),
) -> str:
    config = GaussianConfig(3, supports)
    d = len(supports)
    cov = np.diag([0.8, 0.2, 25.0] + [0.25] * d)
    for i in range(d):
        for f, r in enumerate((0.4, 0.2, 0.35)):
            cov[3 + i, f] = cov[f, 3 + i] = r * np.sqrt(cov[f, f] * 0.25)
    mean = np.array([0.2, 0.05, 2.0] + [-0.2] * d)
    model = Gaussian(config, mean, cov)
    prior = np.stack(model.prior)
    arrays = {f"model.{k}": v for k, v in model.arrays().items()}
    arrays |= {f"rest.{k}": v for k, v in REST.arrays().items()}
    arrays |= {"prior.mean": prior[0], "prior.sd": prior[1]}
    use = "physio.models.gaussian:Gaussian"
    model_card.save(folder, card(origin, use, config, supports), arrays)
    renew_example(folder)
    return str(folder)


def rows(n: int = 600, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    t = np.arange(n) / RATE
    x = np.empty((n, 7))
    x[:, 0] = 2 + 0.2 * rng.standard_normal(n)
    x[:, 1] = rng.poisson(4, n)
    x[:, 4] = 75 + 3 * rng.standard_normal(n)
    x[:, 2], x[:, 3], x[:, 5], x[:, 6] = t - 60, t, t - 10, t
    return x


def run(stage: Estimator, x: Array, info: StreamInfo = INFO) -> Block:
    return StageRunner(stage, info).push(Block(info, 0, 0.0, np.ascontiguousarray(x)))


def estimator(*names: str, demo: bool = False) -> Estimator:
    return Estimator(
        tuple(Expert(n) for n in names), baseline_seconds=60.0, demo_weights=demo
    )


def test_nobody_asked_nothing_told() -> None:
    out = run(Estimator(), rows(8))
    assert out.info.names[:3] == ("valence", "valence.sd", "valence.missing")
    assert out.info.names[9:] == (
        "support.window_start",
        "support.window_end",
        *INTERVALS,
    )
    codes = missing_reason(out.data[:, [0, 1, 3, 4, 6, 7]])
    assert set(codes.ravel()) == {MissingReason.UNTRAINED}
    assert set(out.column("arousal.missing")) == {MissingReason.UNTRAINED}


def test_columns_and_untrained_dominance(tmp_path: Path) -> None:
    out = run(estimator(wrist(tmp_path / "wrist")), rows())
    expected = [f"{d}{e}" for d in DIMENSIONS for e in ("", ".sd", ".missing")]
    expected += ["support.window_start", "support.window_end", *INTERVALS]
    expected += [f"wrist.{d}{e}" for d in DIMENSIONS for e in ("", ".sd")]
    moved = ("eda.scr_rate", "eda.tonic", "heart.rate", "other", "participant")
    expected += [f"{d}.contribution.{m}" for d in DIMENSIONS for m in moved]
    assert list(out.info.names) == expected
    assert set(out.column("arousal.missing")) == {MissingReason.OK}
    assert set(out.column("dominance.missing")) == {MissingReason.UNTRAINED}
    assert set(missing_reason(out.column("dominance.sd"))) == {MissingReason.UNTRAINED}
    assert set(missing_reason(out.column("dominance.ci80"))) == {
        MissingReason.UNTRAINED
    }
    half = 1.28155 * out.column("arousal.sd")  # these weights say nothing else
    np.testing.assert_allclose(out.column("arousal.ci80"), half, rtol=1e-5)
    np.testing.assert_array_equal(out.column("arousal"), out.column("wrist.arousal"))


def test_after_the_rest_it_is_the_model_on_centred_features(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows()
    out = run(estimator(name), x)
    seen = np.stack([np.sqrt(x[:, 1]), np.log(x[:, 0]), x[:, 4]], axis=1)
    resting = seen[: 60 * RATE]
    level, _ = REST.level(resting.mean(axis=0) * 60, np.full(3, 60.0))
    model = model_card.load(name).model()
    mean, sd = model.predict(seen[500] - level, np.zeros(3))
    # sums of 240 terms in another order
    np.testing.assert_allclose(out.column("arousal")[500], mean[1], rtol=1e-9)
    np.testing.assert_allclose(out.column("arousal.sd")[500], sd[1], rtol=1e-9)


def test_cuts_change_nothing(tmp_path: Path) -> None:
    stage, x = estimator(wrist(tmp_path / "wrist")), rows()
    x[100:140, 4] = MissingReason.POOR_QUALITY.nan
    whole = Block(INFO, 0, 0.0, x)
    flow = StageRunner(stage, INFO)
    parts = [flow.push(b).data for b in whole.split([1, 2, 77, 240, 241, 599])]
    expected = run(stage, x.copy()).data
    got = np.concatenate(parts)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(missing_reason(got), missing_reason(expected))


def test_a_state_brings_the_past_back(tmp_path: Path) -> None:
    flow = StageRunner(estimator(wrist(tmp_path / "wrist")), INFO)
    a, b = Block(INFO, 0, 0.0, rows()).split([120])
    flow.push(a)
    state = flow.state
    first = flow.push(b).data
    flow.state = state
    np.testing.assert_array_equal(flow.push(b).data, first)


def test_the_estimate_narrows_while_the_participant_rests(tmp_path: Path) -> None:
    x = np.tile(rows()[0], (300, 1))
    sd = run(estimator(wrist(tmp_path / "wrist")), x).column("arousal.sd")
    assert np.all(np.diff(sd[: 60 * RATE]) < 0)
    assert np.all(sd[60 * RATE :] == sd[-1])
    # At first almost nothing is known of the participant: 0.25 s of 60 s of memory.
    prior = model_card.load(str(tmp_path / "wrist")).arrays["prior.sd"][1]
    assert 0.9 * prior < sd[0] < prior


def test_an_event_begins_a_new_rest(tmp_path: Path) -> None:
    stage, x = estimator(wrist(tmp_path / "wrist")), rows()
    x[300:, 4] += 20  # the participant's heart beats faster from here on
    flow = StageRunner(stage, INFO)
    a, b = Block(INFO, 0, 0.0, x).split([300])
    flow.push(a)
    kept = flow.state
    high = flow.push(b).column("arousal")[-1]
    flow.state = kept
    flow.on_events(single_event(event_stream("session.markers"), 75.0, "stress"))
    assert flow.push(b).column("arousal")[-1] == high
    flow.state = kept
    flow.on_events(
        single_event(event_stream("session.markers"), 75.0, "baseline start")
    )
    again = flow.push(b)
    assert again.column("arousal")[-1] < high - 0.2
    fresh = run(stage, x[300:])
    np.testing.assert_array_equal(again.column("arousal"), fresh.column("arousal"))


def test_a_missing_source_widens_and_does_not_stop(tmp_path: Path) -> None:
    name, x = wrist(tmp_path / "wrist"), rows()
    whole = run(estimator(name), x.copy())
    x[400:, 4:7] = MissingReason.NO_SIGNAL.nan
    half = run(estimator(name), x)
    assert np.all(half.column("arousal.sd")[400:] > whole.column("arousal.sd")[400:])
    np.testing.assert_array_equal(half.data[:400], whole.data[:400])
    assert set(half.column("arousal.missing")) == {MissingReason.OK}
    np.testing.assert_array_equal(half.column("support.window_start")[400:], x[400:, 2])
    chosen = Estimator((Expert(name, ("eda",)),), baseline_seconds=60.0)
    gone = x.copy()
    gone[:, 4:7] = MissingReason.NO_SIGNAL.nan
    skin = run(chosen, gone)
    np.testing.assert_array_equal(
        skin.column("arousal"), run(estimator(name), gone).column("arousal")
    )


@pytest.mark.parametrize(
    ("eda", "heart", "said"),
    [
        (MissingReason.WARMING_UP, MissingReason.NO_SIGNAL, MissingReason.WARMING_UP),
        (MissingReason.NO_SIGNAL, MissingReason.NO_SIGNAL, MissingReason.NO_SIGNAL),
        (
            MissingReason.NO_SIGNAL,
            MissingReason.POOR_QUALITY,
            MissingReason.POOR_QUALITY,
        ),
    ],
)
def test_nothing_there_says_why(
    tmp_path: Path, eda: MissingReason, heart: MissingReason, said: MissingReason
) -> None:
    x = rows(8)
    x[:, :4], x[:, 4:] = eda.nan, heart.nan
    out = run(estimator(wrist(tmp_path / "wrist")), x)
    assert set(out.column("arousal.missing")) == {said}
    assert set(missing_reason(out.column("arousal.sd"))) == {said}
    assert set(missing_reason(out.column("support.window_end"))) == {said}
    assert set(out.column("dominance.missing")) == {MissingReason.UNTRAINED}


def test_support_reaches_over_all_that_was_used(tmp_path: Path) -> None:
    x = rows()
    out = run(estimator(wrist(tmp_path / "wrist")), x)
    np.testing.assert_array_equal(out.column("support.window_start"), x[:, 2])
    np.testing.assert_array_equal(out.column("support.window_end"), x[:, 3])
    assert out.info.memory == 60


def test_demo_weights_do_not_answer_on_measured_input(tmp_path: Path) -> None:
    name = wrist(tmp_path / "toy", Origin.SIMULATED, DIMENSIONS)
    refused = run(estimator(name), rows())
    assert set(refused.column("arousal.missing")) == {MissingReason.DEMO_WEIGHTS}
    assert set(missing_reason(refused.column("toy.arousal"))) == {
        MissingReason.DEMO_WEIGHTS
    }
    assert refused.info.origin is Origin.MEASURED
    allowed = run(estimator(name, demo=True), rows())
    assert set(allowed.column("dominance.missing")) == {MissingReason.OK}
    assert allowed.info.origin is Origin.DEMO
    simulated = run(estimator(name), rows(), replace(INFO, origin=Origin.SIMULATED))
    np.testing.assert_array_equal(simulated.data, allowed.data)
    assert simulated.info.origin is Origin.DEMO


def test_demo_weights_are_never_fused_with_measured_ones(tmp_path: Path) -> None:
    real = wrist(tmp_path / "real")
    toy = wrist(tmp_path / "toy", Origin.SIMULATED, DIMENSIONS)
    out = run(estimator(real, toy, demo=True), rows())
    alone = run(estimator(real), rows())
    for column in (
        "arousal",
        "arousal.sd",
        "support.window_start",
        "dominance.missing",
    ):
        np.testing.assert_array_equal(out.column(column), alone.column(column))
    assert np.isfinite(out.column("toy.dominance")).all()


def test_two_experts_are_fused(tmp_path: Path) -> None:
    a, b = wrist(tmp_path / "a"), wrist(tmp_path / "b")
    x = rows()
    two = Estimator((Expert(a, ("eda",)), Expert(b, ("heart",))), baseline_seconds=60.0)
    out = run(two, x)
    prior = model_card.load(a).arrays
    said = [
        [[out.column(f"{e}.arousal{end}")[500]] for e in "ab"] for end in ("", ".sd")
    ]
    p = [np.full((2, 1), prior[f"prior.{k}"][1]) for k in ("mean", "sd")]
    made = fuse(*map(np.array, said), *p)  # never seen together: intersection
    got = [out.column(c)[500] for c in ("arousal", "arousal.sd")]
    np.testing.assert_allclose(got[1], min(said[1])[0], rtol=0.05)
    assert got[1] > fuse(*map(np.array, said), *p, np.eye(2)[None]).sd[0]
    assert abs(got[0] - made.mean[0]) < 0.3


def test_a_network_is_an_expert_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = RBTransformerConfig(electrodes=1, bands=3, head="affect")
    model = RBTransformer(config)
    arrays = {f"model.{k}": v for k, v in model.arrays().items()}
    arrays |= {f"rest.{k}": v for k, v in REST.arrays().items()}
    arrays |= {"prior.mean": np.zeros(3), "prior.sd": np.full(3, 0.5)}
    use = "physio.models.rbtransformer:RBTransformer"
    model_card.save(
        tmp_path / "net", card(Origin.MEASURED, use, config, DIMENSIONS), arrays
    )
    renew_example(tmp_path / "net")
    stage = estimator(str(tmp_path / "net"))
    x = rows(300)
    whole = run(stage, x)
    flow = StageRunner(stage, INFO)
    cuts = Block(INFO, 0, 0.0, x).split([3, 250])
    # One tick at a time, whatever the cuts: so bit for bit, on one machine.
    np.testing.assert_array_equal(
        np.concatenate([flow.push(b).data for b in cuts]), whole.data
    )
    # 1/240 of what the network adds to the prior in the first tick of a rest
    assert abs(whole.column("arousal.sd")[0] - 0.5) < abs(
        whole.column("arousal.sd")[-1] - 0.5
    )


def test_a_channel_set_that_does_not_suit_is_refused(tmp_path: Path) -> None:
    name = wrist(tmp_path / "wrist")
    poor = INFO.with_channels(None, *INFO.channels[:4])
    with pytest.raises(
        ValueError,
        match=r"^the weights 'wrist' want eda.scr_rate, eda.tonic, heart.rate; given "
        r"are eda.tonic, eda.scr_rate, without heart.rate: train weights on features "
        r"that this device gives$",
    ):
        estimator(name).output_info(poor)
    assert Estimator((Expert(name, ("eda",)),)).output_info(poor).names[0] == "valence"
    with pytest.raises(
        ValueError, match=r"^the weights 'wrist' read eda, heart, not eeg$"
    ):
        Estimator((Expert(name, ("eeg",)),)).output_info(INFO)


def test_it_can_be_written_in_a_session_file(tmp_path: Path) -> None:
    name = wrist(tmp_path / "wrist")
    table = {
        "use": "physio.inference.estimator:Estimator",
        "experts": [{"weights": name, "features": ["eda", "heart"]}],
    }
    expected = Estimator((Expert(name, ("eda", "heart")),))
    assert build(table, "a.toml: estimator") == expected
    table["experts"][0]["reeds"] = ["eda"]  # type: ignore[index]
    with pytest.raises(
        ValueError,
        match=r"^a.toml: estimator.experts\[0\]: Expert has no setting 'reeds'; it has "
        r"weights, features, in_fusion, delay$",
    ):
        build(table, "a.toml: estimator")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            lambda: Estimator(baseline_seconds=0.0),
            r"^baseline_seconds must be above 0 s, not 0.0$",
        ),
        (
            lambda: Estimator((Expert("a/x"), Expert("x"))),
            r"^two experts have the same name: x, x$",
        ),
        (
            lambda: Estimator((Expert("nowhere"),)).output_info(INFO),
            r"^there are no weights 'nowhere': give the name of shipped weights "
            r"\(.*\) or the path of a folder, which needs a '/' in it: './nowhere'$",
        ),
    ],
)
def test_settings_that_cannot_be(stage, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        stage()


def test_weights_that_are_not_what_their_card_says_are_refused(tmp_path: Path) -> None:
    name = wrist(tmp_path / "wrist")
    path = tmp_path / "wrist" / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    (tmp_path / "wrist" / "card.json").touch()
    model_card._load.cache_clear()
    with pytest.raises(
        ValueError,
        match=r"does not match its card: its sha256 differs$",
    ):
        model_card.load(name)


def test_weights_that_are_not_finite_are_not_stored(tmp_path: Path) -> None:
    made = card(Origin.MEASURED, "x:y", GaussianConfig(), ())
    with pytest.raises(
        ValueError, match=r"^the array 'model.mean' in .* is not finite$"
    ):
        model_card.save(tmp_path / "bad", made, {"model.mean": np.array([np.inf])})
