"""What a notebook does: from a file to estimates in a few lines."""

import re
from fractions import Fraction
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import physio
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_of_the_readme_runs(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mpl.use("Agg")
    readme = (ROOT / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (name,) = re.findall(r'physio\.read\("(.*?)"\)', code)
    (tmp_path / name).symlink_to(data / "wesad" / "S10" / "S10_E4_Data.zip")
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    exec(code, space)
    table = space["table"]
    assert len(code.strip().splitlines()) <= 13
    assert np.isfinite(table["arousal"]).mean() > 0.95
    assert (table["arousal.sd"].dropna() > 0.1).all()
    assert set(table["dominance.missing"]) == {"untrained"}
    assert table.index[-1] > 6000


def test_features_of_a_participant(data: Path) -> None:
    recording = physio.read(data / "wesad" / "S2")
    got = physio.compute_features(recording)
    assert isinstance(got, Block)
    assert got.info.rate == 4
    names = [n for n in got.info.names if n.endswith(".window_end")]
    assert names == [
        "eda.window_end",
        "heart.window_end",
        "prv.window_end",
        "motion.window_end",
        "temperature.window_end",
    ]
    rate = got.column("eda.scr_rate")
    assert np.isfinite(rate).mean() > 0.85
    # A row rests on nothing that came after it, and on nothing before the recording.
    for chain in ("eda", "heart", "prv", "motion", "temperature"):
        begins, ends = (
            got.column(f"{chain}.{end}") for end in ("window_start", "window_end")
        )
        there = ~np.isnan(ends)
        assert (ends[there] <= got.times[there]).all()
        assert (begins[there] <= ends[there]).all()
        assert begins[there].min() >= recording.begin - 0.25


def test_estimates_with_a_session_file_of_ones_own(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[session]\nrate = 2\n[chains.eda]\nstream = "e4.eda"\n'
        'stages = [{ use = "physio.features.eda.scl_scr:EdaFeatures", past = 30.0 }]\n'
        '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
        'experts = [{ weights = "wrist", features = ["eda"] }]\n',
        "utf-8",
    )
    recording = physio.read(data / "wesad" / "S10")
    alone = physio.estimate(recording, path)
    every = physio.estimate(recording)
    assert (alone.info.rate, every.info.rate) == (2, 4)
    # Fewer sensors: wider.
    assert np.nanmean(alone.column("arousal.sd")) > np.nanmean(
        every.column("arousal.sd")
    )


def test_demo_weights_answer_on_measured_input_only_when_asked(data: Path) -> None:
    recording = physio.read(
        data / "openbci" / "brainflow_cyton_playback_30s.csv", board="cyton"
    )
    assert np.isnan(physio.estimate(recording).column("valence")).all()
    asked = physio.estimate(recording, demo_weights=True)
    assert np.isfinite(asked.column("eeg-demo.valence")).any()
    assert asked.info.origin == "demo"


def test_a_recording_of_nothing_that_is_read() -> None:
    info = StreamInfo("x.y", Fraction(10), (Channel("a"),))
    recording = Recording({"x.y": (Block(info, 0, 0.0, np.zeros((20, 1))),)})
    with pytest.raises(ValueError, match=r".*") as caught:
        physio.compute_features(recording)
    assert str(caught.value) == (
        "this recording of 1.9 s gives no features: no chain reads any of its "
        "streams (x.y), or they are empty"
    )
