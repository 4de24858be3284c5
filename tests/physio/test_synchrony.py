"""Synchrony of two people: coupled pairs are recognised, uncoupled ones are not."""

import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.io import xdf
from physio.offline.synchrony import (
    LABEL,
    RATE,
    SynchronySettings,
    compare_recordings,
    holm,
    synchrony,
)

N = int(600 * RATE)
QUICK = SynchronySettings(shifts=99)


def slow(rng: np.random.Generator, n: int = N) -> np.ndarray:
    """Return a track as slow as skin conductance: correlated over about 10 s."""
    noise = rng.normal(0, 1, n + 200)
    kernel = np.exp(-np.arange(100) / (5 * RATE))
    return np.convolve(noise, kernel, "full")[100 : 100 + n]


def test_a_coupled_pair_has_its_lag() -> None:
    rng = np.random.default_rng(4)
    common = slow(rng, N + 20)
    first = common[10 : 10 + N] + 0.7 * slow(rng)
    second = common[4 : 4 + N] + 0.7 * slow(rng)  # what the first did 3 s before
    found = synchrony(first, second, settings=QUICK)
    assert found.correlation_p <= 0.05
    assert found.coherence_p <= 0.05
    assert found.surrogates == 99
    assert found.lag == pytest.approx(3.0, abs=0.5)
    assert found.correlation > 0.4
    assert synchrony(second, first, settings=QUICK).lag == pytest.approx(-3, abs=0.5)


def test_uncoupled_pairs_are_significant_as_often_as_chance() -> None:
    """Of 100 uncoupled pairs about 5 have p <= 0.05; of 20 coupled ones most."""
    rng = np.random.default_rng(21)
    p = np.array(
        [
            (s.correlation_p, s.coherence_p)
            for s in (
                synchrony(slow(rng), slow(rng), settings=QUICK) for _ in range(100)
            )
        ]
    )
    rate = np.mean(p <= 0.05, axis=0)
    assert np.all(rate <= 0.10), rate
    assert np.all(np.mean(p <= 0.01, axis=0) <= 0.03)
    assert np.all(np.abs(p.mean(axis=0) - 0.5) < 0.1)
    found = []
    for _ in range(20):
        common = slow(rng)
        pair = (common + slow(rng), common + slow(rng))
        found.append(synchrony(*pair, settings=QUICK).correlation_p <= 0.05)
    assert np.mean(found) >= 0.9


def test_missing_values_leave_windows_out() -> None:
    rng = np.random.default_rng(2)
    common = slow(rng)
    whole = synchrony(common, common + slow(rng), settings=QUICK)
    gap = common.copy()
    gap[200:400] = np.nan
    some = synchrony(gap, common + slow(rng), settings=QUICK)
    assert some.windows < whole.windows
    assert np.isfinite([some.correlation, some.coherence]).all()
    with pytest.raises(ValueError, match="0 windows of 60 s are complete"):
        synchrony(np.full(N, np.nan), common, settings=QUICK)
    with pytest.raises(ValueError, match="align them first"):
        synchrony(common, common[:-1], settings=QUICK)
    few = np.full(N, np.nan)
    few[100:400] = common[100:400]  # 150 s
    with pytest.raises(ValueError, match="a synchrony needs 4"):
        synchrony(few, common, settings=QUICK)
    with pytest.raises(
        ValueError, match=r"share 539\.5 s, and a synchrony needs 540 s"
    ):
        synchrony(common[:1079], common[:1079], settings=QUICK)


def test_shifts_without_enough_windows_do_not_count() -> None:
    """Two independent tracks with values at both ends alone are not significant."""
    rng = np.random.default_rng(6)
    n, p = 6000, []
    for _ in range(8):
        pair = [slow(rng, n), slow(rng, n)]
        for track in pair:
            track[600:-600] = np.nan
        found = synchrony(*pair, settings=SynchronySettings(shifts=800))
        assert 19 <= found.surrogates < 200
        p += [found.correlation_p, found.coherence_p]
    assert np.mean(np.array(p) <= 0.05) <= 0.2
    with pytest.raises(ValueError, match=r"of 99 shifts in time leave \d+ complete"):
        synchrony(*pair, settings=QUICK)


def test_many_shifts_are_computed_in_parts() -> None:
    rng = np.random.default_rng(3)
    pair = slow(rng), slow(rng)
    many = SynchronySettings(shifts=100_000)
    tracemalloc.start()
    found = synchrony(*pair, settings=many)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.surrogates == N - 1  # every shift once
    assert most < 100e6
    some = synchrony(*pair, settings=SynchronySettings())
    assert found.correlation_p == pytest.approx(some.correlation_p, abs=0.02)


def test_p_values_are_corrected_for_their_number() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == [0.03, 0.06, 0.06]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"window": 5}, "window is from 10 to 600 s"),
        ({"step": 0}, "step is above 0 s"),
        ({"lag": 20}, "lag is from 0 to 15 s"),
        ({"shifts": 5}, "shifts are from 19"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SynchronySettings(**settings)


def dyad(couple: float) -> Recording:
    """Return a recording of two people whose skin conductance shares a part."""
    rng = np.random.default_rng(8)
    common, n = slow(rng), N
    streams = {}
    for person in ("p1", "p2"):
        mixed = couple * common + slow(rng)
        eda = 5 + 0.02 * np.convolve(mixed, np.hanning(21) / 10, "same")
        name = f"band-{person}.eda"
        channel = Channel("eda", "gsr", "uS")
        info = StreamInfo(name, Fraction(2), (channel,), participant=person)
        streams[name] = (Block(info, 0, 10.0, eda.reshape(n, 1)),)
    return Recording(streams, metadata={"begin": "10.0"})


def test_the_command_compares_two_people(tmp_path: Path) -> None:
    xdf.write(tmp_path / "dyad.xdf", dyad(2.0))
    run = ["synchrony", str(tmp_path / "dyad.xdf"), "--shifts", "99"]
    files = ["--output", str(tmp_path / "t.csv"), "--plot", str(tmp_path / "d.png")]
    done = CliRunner().invoke(app, [*run, *files])
    assert done.exit_code == 0, done.output
    assert "synchrony of p1 and p2 (exploratory" in done.output
    assert "note: heart rate: not in both records" in done.output
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["correlation_p"].item() <= 0.05
    corrected = table[["correlation_p_holm", "coherence_p_holm"]].to_numpy()
    assert corrected.min() == 2 * table[["correlation_p", "coherence_p"]].min(axis=1)[0]
    assert table["provenance"].item() == LABEL
    assert (tmp_path / "d.png").stat().st_size > 10_000
    again = CliRunner().invoke(app, [*run, *files])
    assert "is not overwritten" in str(again.exception)
    (tmp_path / "r.json").write_text("")
    again = CliRunner().invoke(app, [*run, "--json", str(tmp_path / "r.json")])
    assert "is not overwritten" in str(again.exception)
    for extra, problem in (
        ([run[1]], "is given twice"),
        (["--people", "p1", "p1"], "'p1' is compared with itself"),
    ):
        wrong = CliRunner().invoke(app, [*run, *extra])
        assert problem in str(wrong.exception)


def test_two_recordings_are_aligned() -> None:
    whole = dyad(2.0)
    first, second = whole.streams.values()
    late = second[0].data[20:].copy()  # the second begins 10 s later
    info = second[0].info
    one = Recording({first[0].info.name: first}, metadata={"begin": "10.0"})
    two = Recording(
        {info.name: (Block(info, 0, 500.0, late),)}, metadata={"begin": "500.0"}
    )
    table, _, _ = compare_recordings(one, two, offset=10.0, settings=QUICK)
    assert table["lag"].item() == 0.0
    assert table["correlation_p"].item() <= 0.05
    wrong, _, _ = compare_recordings(one, two, offset=6.0, settings=QUICK)
    assert wrong["lag"].item() == pytest.approx(-4.0)  # 4 s early: the first follows
    with pytest.raises(ValueError, match="nobody in the recording is 'p9'"):
        compare_recordings(whole, whole, ("p1", "p9"), settings=QUICK)
    with pytest.raises(ValueError, match="of p1, p2: say with --people"):
        compare_recordings(whole, two, settings=QUICK)
    with pytest.raises(ValueError, match="do not overlap in time: see --offset"):
        compare_recordings(one, two, offset=3e8, settings=QUICK)


def test_a_stream_without_a_code_is_of_nobody_in_a_recording_of_two() -> None:
    whole = dyad(2.0)
    (mine,), (other,) = whole.streams.values()
    shared = replace(mine.info, name="a.eda", participant="")
    streams = {"a.eda": (Block(shared, 0, 10.0, mine.data),), **whole.streams}
    mixed = Recording(streams, metadata=whole.metadata)
    for recording in (whole, mixed):
        table, _, _ = compare_recordings(
            recording, recording, ("p1", "p2"), settings=QUICK
        )
        assert table["correlation"].item() < 0.99
    unnamed = Recording({"a.eda": streams["a.eda"], other.info.name: (other,)})
    with pytest.raises(ValueError, match="nobody in the recording is 'p1'"):
        compare_recordings(unnamed, unnamed, ("p1", "p2"), settings=QUICK)
