"""Shipped chains on streams of any kind, rate, unit and number of channels."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import physio
from cases import CASES
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.core.stage import apply
from physio.datasets.open_recording import read
from physio.dsp.interpolate import Interpolate
from physio.online.engine import Engine, run
from physio.online.session_config import SessionConfig
from physio.online.shipped_chains import chain_notes, default_chains

KINDS = {
    "eeg": "uV", "gsr": "uS", "bio": "1", "ecg": "mV", "resp": "1",
    "misc": "g", "temperature": "degC",
}  # fmt: skip
CHAINS = {
    "eeg": "eeg", "gsr": "eda", "bio": "heart", "ecg": "heart", "resp": "resp",
    "misc": "motion", "temperature": "temperature",
}  # fmt: skip
PPG = StreamInfo("band.ppg", Fraction(64), (Channel("ppg", "bio"),))
RATES = (
    *("0.02", "0.5", "1", "0.998", "2", "3.90625", "3.99", "4", "7.5", "10", "15"),
    *("15.625", "25", "50", "52", "64", "98", "98.5", "128", "250", "2000"),
)


def stream(name: str, rate: object, *channels: tuple[str, str, str]) -> StreamInfo:
    return StreamInfo(name, Fraction(str(rate)), tuple(Channel(*c) for c in channels))


def values(info: StreamInfo, seconds: float = 30.0) -> Block:
    """Return a signal that each kind of sensor can give."""
    n = int(seconds * info.rate) + 1
    t = np.arange(n) / float(info.rate)
    rng = np.random.default_rng(1)
    level = {"gsr": 5.0, "temperature": 33.0, "misc": 0.577}
    columns = [
        level.get(c.kind, 0.0)
        + 0.1 * np.sin(2 * np.pi * t / 5)
        + rng.normal(0, 0.01, n)
        for c in info.channels
    ]
    return Block(info, 0, 0.0, np.column_stack(columns))


def computed(*streams: StreamInfo) -> Block:
    """Return the features of a recording of these streams."""
    recording = Recording({i.name: (values(i),) for i in streams})
    plan = SessionConfig().plan(streams)
    assert Engine(plan, streams, 0.0).notices == ()
    blocks = [b for b in run(recording, plan) if b.info.name == "features"]
    data = np.vstack([b.data for b in blocks if isinstance(b, Block)])
    return Block(blocks[0].info, 0, 0.0, data)


@settings(max_examples=20, deadline=None)
@example("misc", "g", "1", 1)
@example("gsr", "uS", "3.99", 2)
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["", "1", "uV", "uS", "g", "degC", "kOhm"]),
    st.sampled_from(RATES),
    st.integers(1, 5),
)
def test_a_chain_runs_or_is_given_up_by_name(
    kind: str, unit: str, rate: str, channels: int
) -> None:
    names = [f"ch{i}" for i in range(channels)]
    right = stream("a.right", rate, *((n, kind, KINDS[kind]) for n in names))
    wrong = stream("a.wrong", rate, *((n, kind, unit) for n in names))
    odd = stream("a.odd", rate, *((n, kind, KINDS[kind]) for n in names),
                 ("counter", "misc", "1"))  # fmt: skip
    streams = (right, wrong, odd, PPG)
    tables, notes = default_chains(streams), chain_notes(streams)
    engine = Engine(SessionConfig().plan(streams), streams, 0.0)
    assert engine.notices == ()
    reads = {table["stream"] for table in tables.values()}
    assert "band.ppg" in reads
    assert all(info.name in reads or notes[info.name] for info in streams)
    assert ("a.right" in reads) == ("a.odd" in reads)
    assert any("counter" in note for note in notes["a.odd"])


@pytest.mark.parametrize(
    ("kind", "rate", "column"),
    [
        ("temperature", "1", "temperature.level"),
        ("gsr", "3.99", "eda.scr_rate"),
        ("gsr", "2", "eda.stability"),
        ("resp", "3.90625", "resp.rate"),
        ("misc", "1", "motion.deviation.ch0"),
        ("misc", "32", "motion.deviation.ch0"),
    ],
)
def test_a_slow_stream_is_computed_beside_a_pulse(
    kind: str, rate: str, column: str
) -> None:
    info = stream("band.slow", rate, ("ch0", kind, KINDS[kind]))
    features = computed(info, PPG)
    assert {column, "heart.rate"} <= set(features.info.names)
    if kind in {"temperature", "misc"}:
        at = features.column(column)
        truth = {"temperature": 33.0, "misc": 0.1 / np.sqrt(2)}[kind]
        assert np.nanmedian(at) == pytest.approx(truth, abs=0.02)
        assert np.isfinite(at[60:]).mean() > 0.9


@pytest.mark.parametrize(
    ("rate", "bands"),
    [
        ("50", "theta alpha"),
        ("64", "theta alpha beta"),
        ("100", "theta alpha beta gamma"),
    ],
)
def test_bands_above_half_the_rate_are_omitted(rate: str, bands: str) -> None:
    info = stream("head.eeg", rate, ("Fp1", "eeg", "uV"), ("TP9", "eeg", "uV"))
    names = computed(info).info.names
    assert {n.split(".")[2] for n in names if n.startswith("eeg.de")} == set(
        bands.split()
    )
    notes = chain_notes([info]).get("head.eeg", [])
    assert bool(notes) == (rate != "100")
    if notes:
        assert "gamma (31-49 Hz)" in notes[0]
        assert f"{rate} samples/s" in notes[0]


def test_the_order_and_names_of_three_axes_do_not_matter() -> None:
    columns = []
    for names in (
        ("acc.x", "acc.y", "acc.z"),
        ("ACC1", "ACC2", "ACC3"),
        ("AccZ", "AccX", "AccY"),
    ):
        info = stream("band.acc", 32, *((n, "misc", "g") for n in names))
        features = computed(info)
        columns.append(features.column("motion.activity"))
    assert columns[0].tobytes() == columns[1].tobytes() == columns[2].tobytes()


def test_a_complete_chain_has_the_name_that_weights_read() -> None:
    two = stream("a.acc", 32, ("X", "misc", "g"), ("Y", "misc", "g"))
    three = stream("b.acc", 32, *((f"acc.{a}", "misc", "g") for a in "xyz"))
    mixed = stream("c.eeg", 250, ("Fp1", "eeg", "uV"), ("acc.x", "misc", "g"))
    tables = default_chains([two, mixed, three])
    reads = {name: table["stream"] for name, table in tables.items()}
    assert reads["motion"] == "b.acc"
    names = computed(two, mixed, three).info.names
    assert {"motion2.deviation.X", "motion3.deviation.acc.x"} <= set(names)
    assert not any("deviation.Fp1" in name for name in names)


def test_a_stream_that_is_too_slow_says_the_rate_it_needs() -> None:
    info = stream("band.ppg", 10, ("ppg", "bio", "1"))
    assert default_chains([info]) == {}
    assert chain_notes([info])["band.ppg"] == [
        "heart, prv: band.ppg has 10 samples/s, and more than 16 are needed: send it "
        "at a higher rate"
    ]


AXES = tuple((f"acc.{axis}", "misc", "g") for axis in "xyz")


@pytest.mark.parametrize(
    ("rate", "axes", "joined"),
    [
        ("20", "same device", True), ("25", "same device", True),
        ("64", "same device", True), ("100", "same stream", False),
        ("64", "same names", False), ("500", "same device", True),
        ("1000", "none", False), ("50", "another device", False),
        ("64", "too slow", False),
    ],
)  # fmt: skip
def test_a_pulse_has_a_rate_with_a_deviation(
    rate: str, axes: str, joined: bool
) -> None:
    n = int(45 * float(rate))
    t = np.arange(n) / float(rate)
    rng = np.random.default_rng(3)
    wave = np.cos(2.4 * np.pi * t) + 0.4 * np.cos(4.8 * np.pi * t - 1)
    wave += 0.1 * rng.standard_normal(n)
    beside = stream(
        "other.acc" if axes == "another device" else "band.acc",
        4 if axes == "too slow" else 32,
        *AXES,
    )
    together = axes == "same stream"
    pulse = stream("band.ppg", rate, ("ppg", "bio", "1"), *(AXES if together else ()))
    if axes == "same names":
        pulse = stream("band.ppg", rate, ("acc.x", "bio", "1"))
    streams = (pulse,) if axes in {"same stream", "none"} else (pulse, beside)
    data = values(pulse, 45.0).data[:n].copy()
    data[:, 0] = 300 * wave + 5000
    blocks = {s.name: (values(s, 45.0),) for s in streams}
    blocks["band.ppg"] = (Block(pulse, 0, 0.0, data),)
    assert ("joined" in default_chains(streams)["heart"]) == joined
    features = physio.compute_features(Recording(blocks))
    rates = features.column("heart.rate")[60:]
    assert np.isfinite(rates).mean() > 0.9
    assert np.nanmax(np.abs(rates - 72)) < 4
    assert np.nanmax(features.column("heart.rate.sd")[60:]) < 5
    assert np.nanmedian(features.column("prv.rate")) == pytest.approx(72, abs=1)


def test_standard_streams_have_the_stages_of_the_file() -> None:
    streams = [
        stream("b.eda", 4, ("eda", "gsr", "uS")),
        stream("b.temp", 4, ("temp", "temperature", "degC")),
        stream("b.acc", 32, *((f"acc.{a}", "misc", "g") for a in "xyz")),
        stream("h.eeg", 250, ("Fp1", "eeg", "uV")),
        PPG,
    ]
    text = repr(default_chains(streams))
    for word in ("Interpolate", "SelectChannels", "bands", "axes", "step"):
        assert word not in text
    assert chain_notes(streams) == {}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["0.5", "1", "2", "3.90625", "3.99", "4"]),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_interpolation_equals_numpy_however_the_stream_is_cut(
    rate: str, cuts: list[int]
) -> None:
    from physio.core.stage import StageRunner

    info = stream("b.temp", rate, ("temp", "temperature", "degC"))
    x = np.random.default_rng(3).normal(33, 1, (40, 1))
    whole = apply(Interpolate(), Block(info, 0, 0.0, x))
    at = np.arange(len(whole)) / 4
    expected = np.interp(at, np.arange(40) / float(rate), x[:, 0])
    np.testing.assert_allclose(whole.data[:, 0], expected, rtol=0, atol=1e-12)
    runner = StageRunner(Interpolate(), info)
    parts = [runner.push(b).data for b in Block(info, 0, 0.0, x).split(sorted(cuts))]
    assert np.vstack(parts).tobytes() == whole.data.tobytes()


@pytest.mark.parametrize(
    ("name", "column", "low", "high"),
    [
        ("wear/07-slow-streams/temp1hz.xdf", "temperature.level", 30, 36),
        ("wear/07-slow-streams/eda2hz.xdf", "eda.tonic", 0.5, 10),
        ("wear/07-slow-streams/eda3.99hz.xdf", "eda.tonic", 0.5, 10),
        ("wear/07-slow-streams/resp3.9hz.xdf", "resp.rate", 10, 25),
        ("wear/14-acc-labels/acc123.xdf", "motion.activity", 0, 0.1),
        ("wear/14-acc-labels/acc_one.xdf", "eda.tonic", 0.5, 10),
        ("eeg/45-low-rate-eeg/eeg64_eda4.xdf", "eeg.de.alpha.AF7", 0, 10),
    ],
)
def test_real_world_streams_are_computed_with_all_others(
    name: str, column: str, low: float, high: float
) -> None:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no inputs beside the recordings: there is no {path}")
    recording = read(path)
    features = physio.compute_features(recording)
    assert low < np.nanmedian(features.column(column)) < high
    if "07" in name:
        assert 60 < np.nanmedian(features.column("heart.rate")) < 80
