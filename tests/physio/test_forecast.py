"""Weights that foretell: in sessions, at any cut, silent where they know nothing."""

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from devices.replay import Replay
from devices.simulated import Wristband
from experiments.weights.demo import record
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.protocols import FastClock
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator, Expert
from physio.models.baseline import BaselinePrior
from physio.models.pinn import Pinn, PinnConfig, bridged
from physio.online.engine import run
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.training.save_weights import minimal_card, store

NAMES = ("eda.scr_rate", "heart.rate")
ENDS = [
    f"{c}.{e}"
    for c in ("eda", "heart", "trace")
    for e in ("window_start", "window_end")
]
COLUMNS = (*NAMES, "trace.eda", *ENDS)
INFO = StreamInfo("features", Fraction(4), tuple(Channel(n) for n in COLUMNS))
AHEAD = ("forecast.5s", "forecast.15s", "forecast.30s")
TABLE = {
    "use": "physio.inference.estimator:Estimator",
    "experts": [{"weights": "wrist"}, {"weights": "wrist-network", "in_fusion": False}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pinn]:
    torch.manual_seed(4)
    model = Pinn(PinnConfig(features=2)).eval()
    torch.nn.init.normal_(model.follow.weight, std=0.3)
    with torch.no_grad():
        model.reach.copy_(torch.tensor([[-1.0, 1.0]] * 3))
    ones = np.ones(2)
    rest = BaselinePrior(np.zeros(2), ones, ones, ones, ones * 300)
    card = minimal_card(
        "physio.models.pinn:Pinn",
        tuple((name, "raw") for name in NAMES),
        30.0,
        Origin.MEASURED,
        ("valence", "arousal"),
    )
    prior = (np.array([0.0, 0.0, np.nan]), np.array([0.5, 0.5, np.nan]))
    path = tmp_path_factory.mktemp("weights") / "net"
    store(path, card, model, rest, prior)
    return path, model


def rows(n: int = 480) -> Array:
    rng = np.random.default_rng(1)
    data = rng.normal(0, 1, (n, len(COLUMNS)))
    data[:, 2] = 3 + 0.02 * rng.normal(0, 1, n).cumsum()
    data[:, 3::2], data[:, 4::2] = 0.0, 1.0
    return data


def told(
    experts: Sequence[Expert],
    data: Array,
    cuts: Sequence[int] = (),
    info: StreamInfo = INFO,
) -> Block:
    flow = StageRunner(Estimator(tuple(experts)), info)
    parts = [
        flow.push(Block(info, a, 0.0, data[a:b])).data
        for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)
    ]
    return Block(flow.info, 0, 0.0, np.concatenate(parts))


def test_it_foretells_what_the_network_says_of_the_last_minute(
    made: tuple[Path, Pinn],
) -> None:
    path, model = made
    data = rows()
    out = told([Expert(str(path))], data)
    for name in AHEAD:
        assert (
            missing_reason(out.column(name)[:215]) == MissingReason.WARMING_UP
        ).all()
        # Nine tenths of a minute are there; what is not is taken as its oldest value.
        assert np.isfinite(out.column(name)[215:]).all()
    at = 400
    trace = torch.from_numpy(data[at - 239 : at + 1, 2]).float()[None]
    level = data[:120, :2].mean(axis=0)  # a rest of 30 s, and half of it for anybody
    level *= 30 / (30 + 1)
    z = torch.from_numpy(data[at, :2] - level).float()[None]
    with torch.no_grad():
        wanted = model.course(z, trace).skin(torch.tensor([model.config.horizons]))
        low, high = model.ends(wanted, trace)
    for k, name in enumerate(AHEAD):
        assert out.column(name)[at] == pytest.approx(float(wanted[0, k]), abs=1e-5)
        ends = out.column(f"{name}.low")[at], out.column(f"{name}.high")[at]
        assert ends == pytest.approx((float(low[0, k]), float(high[0, k])), abs=1e-5)
        assert ends[0] < out.column(name)[at] < ends[1]
    odds = np.stack([out.column(f"condition.{c}") for c in model.config.classes])
    np.testing.assert_allclose(odds.sum(axis=0), 1, atol=1e-6)


def test_how_far_ahead_it_is_and_what_it_rests_on_are_declared(
    made: tuple[Path, Pinn],
) -> None:
    info = Estimator((Expert(str(made[0])),)).output_info(INFO)
    found = {c.name: c for c in info.channels}
    assert [found[name].delay for name in AHEAD] == [-5.0, -15.0, -30.0]
    assert {found[name].unit for name in AHEAD} == {"uS"}
    assert {found[name].memory for name in AHEAD} == {60.0}


@pytest.mark.parametrize("seed", range(3))
def test_cuts_change_no_bit(made: tuple[Path, Pinn], seed: int) -> None:
    data = rows()
    rng = np.random.default_rng(seed)
    data[rng.random(len(data)) < 0.02, 2] = MissingReason.POOR_QUALITY.nan
    data[300:310, 2] = MissingReason.NO_SIGNAL.nan
    cuts = np.sort(rng.choice(np.arange(1, len(data)), 40, replace=False)).tolist()
    whole, cut = (told([Expert(str(made[0]))], data, c) for c in ((), cuts))
    np.testing.assert_array_equal(whole.data.view(np.uint64), cut.data.view(np.uint64))


def test_without_skin_it_is_silent_and_says_why(made: tuple[Path, Pinn]) -> None:
    data = rows()
    data[300, 2] = MissingReason.NO_SIGNAL.nan  # one is bridged, once there is a next
    data[380:440, 2] = MissingReason.POOR_QUALITY.nan
    said = missing_reason(told([Expert(str(made[0]))], data).column("forecast.5s"))
    assert said[300] == MissingReason.NO_SIGNAL
    assert (said[301:380] == MissingReason.OK).all()
    assert (said[380:440] == MissingReason.POOR_QUALITY).all()
    assert said[440] == MissingReason.TOO_SHORT


def test_gaps_are_bridged_by_a_line() -> None:
    trace = np.arange(240.0)
    lost = trace.copy()
    lost[[7, 8, 100]] = np.nan
    np.testing.assert_allclose(bridged(lost), trace)
    lost[:30] = np.nan
    assert missing_reason(np.array(bridged(lost))) == MissingReason.TOO_SHORT


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            StreamInfo("features", Fraction(8), INFO.channels),
            "remember 4 ticks a second, not 8: give [session] rate = 4",
        ),
        (
            INFO.with_channels(
                None, *(c for c in INFO.channels if c.name != "trace.eda")
            ),
            "want a chain 'trace' that gives skin conductance itself in one column, "
            "not in 0",
        ),
    ],
)
def test_what_it_lacks_is_said(
    made: tuple[Path, Pinn], info: StreamInfo, message: str
) -> None:
    with pytest.raises(ValueError, match="the weights 'net' ") as error:
        Estimator((Expert(str(made[0])),)).output_info(info)
    assert message in str(error.value)


def test_a_session_that_names_it_remembers_skin_conductance() -> None:
    streams = record(Wristband(seed=1, ground_truth=False), 4.0).inputs
    named = SessionConfig({"estimator": TABLE}).plan(streams)
    assert "trace" in named.chains
    assert "trace" not in SessionConfig().plan(streams).chains
    weights = [e.weights for e in SessionConfig().plan(streams).estimator.experts]
    assert "wrist-network" not in weights


def test_a_session_that_does_not_name_it_loads_no_torch() -> None:
    code = (
        "import sys; from fractions import Fraction;"
        "from physio.core.block import Channel, StreamInfo;"
        "from physio.online.session_config import SessionConfig;"
        "eda = StreamInfo('e4.eda', Fraction(4), (Channel('eda', 'gsr', 'uS'),));"
        "plan = SessionConfig().plan([eda]);"
        "assert [e.weights for e in plan.estimator.experts] == ['wrist'], plan;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_shipped_weights_tell_live_what_they_tell_offline() -> None:
    """And leave the estimate of `wrist` as it is without them."""
    recording = record(Wristband(seed=5, ground_truth=False), 80.0)
    plan = SessionConfig({"estimator": TABLE}).plan(recording.inputs)
    alone = {**TABLE, "experts": [{"weights": "wrist"}]}
    plain = SessionConfig({"estimator": alone}).plan(recording.inputs)
    clock = FastClock(recording.begin)
    with Session(plan, [Replay(recording, clock)], (), clock, poll=0.37) as session:
        live = _estimates(list(session))
    offline = _estimates(list(run(recording, plan)))
    n = len(offline)
    np.testing.assert_array_equal(live.data[:n], offline.data)
    assert np.isfinite(offline.column("forecast.15s")).sum() > 60
    assert (offline.column("forecast.15s.low")[-1] < offline.column("forecast.15s"))[-1]
    before = _estimates(list(run(recording, plain)))
    for name in before.info.names:
        np.testing.assert_array_equal(before.column(name), offline.column(name))


def _estimates(items: Sequence[object]) -> Block:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "estimates"]
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, 0, 0.0, data)
