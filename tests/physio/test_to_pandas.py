"""Recordings as pandas frames and as MNE's raw objects."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.missing import MissingReason
from physio.core.recording import Recording, stream_timeout
from physio.view.convert import to_mne, to_pandas

EEG = StreamInfo(
    "headset.eeg",
    Fraction(250),
    (
        Channel("Fz", "eeg", "uV"),
        Channel("OZ", "eeg", "uV"),
        Channel("pulse", "bio", "1"),
        Channel("heart", "ecg", "mV"),
    ),
    participant="p07",
)
EDA = StreamInfo(
    "band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), Origin.SIMULATED
)


def session() -> Recording:
    """Return 8 s of EEG of which 1 s is lost, skin conductance, and events."""
    data = np.random.default_rng(3).normal(size=(2000, 4)) * 20
    data[100:150, 0] = np.nan
    eeg = (
        Block(EEG, 0, 100.0, data[:1000].copy()),
        Block(EEG, 1250, 100.0, data[1250:].copy()),
    )
    eda = (Block(EDA, 0, 100.0, np.full((32, 1), 0.5)),)
    markers = Events(
        event_stream("session.markers"),
        108.0,
        np.array([102.0, 999.0]),
        np.empty((2, 0)),
        ("tone", "too late"),
    )
    conditions = Events(
        event_stream("study.conditions", Channel("end", unit="s")),
        108.0,
        np.array([101.0]),
        np.array([[106.0]]),
        ("stress",),
    )
    events = (markers, conditions, stream_timeout("band.eda", 105.0))
    about = {"begin": "90.0", "begin_unix": "1700000000.0"}
    named = {e.info.name: e for e in events}
    return Recording({"headset.eeg": eeg, "band.eda": eda}, named, (), about)


def test_mne_has_the_values_in_si_units_and_its_own_types() -> None:
    recording = session()
    raw = to_mne(recording)
    assert raw.get_channel_types() == ["eeg", "eeg", "misc", "ecg"]
    assert raw.info["sfreq"] == 250.0
    blocks = recording.streams["headset.eeg"]
    given = blocks[0].data[500]
    # A product with the scale may round once: 1 in 2^52.
    wanted = given * [1e-6, 1e-6, 1.0, 1e-3]
    np.testing.assert_allclose(raw.get_data()[:, 500], wanted, rtol=1e-15)
    skin = to_mne(recording, "band.eda")
    assert skin.get_channel_types() == ["gsr"]
    np.testing.assert_allclose(skin.get_data(), 0.5e-6, rtol=1e-15)


def test_lost_samples_are_nan_under_an_annotation_that_mne_skips() -> None:
    raw = to_mne(session())
    assert np.isnan(raw.get_data()[:, 1000:1250]).all()
    told = [a for a in raw.annotations if a["description"].startswith("BAD")]
    found = [(a["description"], a["onset"], a["duration"], a["ch_names"]) for a in told]
    assert found == [
        ("BAD_NAN", 0.4, 0.2, ("Fz",)),
        ("BAD_ACQ_SKIP", 4.0, 1.0, ()),
    ]
    whole = raw.copy().pick(["OZ"]).filter(1.0, 40.0, verbose="error").get_data()[0]
    assert np.flatnonzero(np.isnan(whole)).tolist() == list(range(1000, 1250))


def test_events_lie_at_their_samples_and_silence_is_left_out() -> None:
    raw = to_mne(session())
    found = {
        a["description"]: (a["onset"], a["duration"])
        for a in raw.annotations
        if not a["description"].startswith("BAD")
    }
    assert found == {
        "stress": (pytest.approx(1.0, abs=1e-9), pytest.approx(5.0, abs=1e-9)),
        "tone": (pytest.approx(2.0, abs=1e-9), 0.0),
    }


def test_an_event_lies_at_its_sample_though_the_clock_drifts() -> None:
    # The device is slow by 1 %: 100 samples take 1.01 s of the session clock.
    info = StreamInfo("a.eeg", Fraction(100), (Channel("Fz", "eeg", "uV"),))
    blocks = tuple(
        Block(info, 100 * i, 0.01 * i, np.zeros((100, 1))) for i in range(50)
    )
    at = float(blocks[40].times[7])
    event = Events(event_stream("m"), at, np.array([at]), np.empty((1, 0)), ("x",))
    raw = to_mne(Recording({"a.eeg": blocks}, {"m": event}))
    # Sample 4007 of 100 Hz; one part in 10^9 is far less than a sample.
    assert raw.annotations.onset[0] == pytest.approx(40.07, rel=1e-9)


def test_the_date_is_that_of_the_first_sample() -> None:
    # The session began at 90 s of its clock, the first sample came at 100 s.
    wanted = datetime.fromtimestamp(1700000010.0, UTC)
    assert to_mne(session()).info["meas_date"] == wanted


def test_electrodes_get_their_places_if_all_are_known() -> None:
    raw = to_mne(session())
    assert set(raw.get_montage().ch_names) == {"Fz", "OZ"}
    strange = StreamInfo("a.eeg", Fraction(100), (Channel("left", "eeg", "uV"),))
    block = Block(strange, 0, 0.0, np.zeros((100, 1)))
    assert to_mne(Recording({"a.eeg": (block,)})).get_montage() is None


@pytest.mark.parametrize(
    ("streams", "asked", "message"),
    [
        (
            ("band.eda", "band.temp"),
            None,
            "name the stream to convert to MNE; the recording has: band.eda, band.temp",
        ),
        (
            ("band.eda",),
            "band.bvp",
            "there is no regular stream 'band.bvp'; the recording has: band.eda",
        ),
        (("band.eda",), None, "cannot convert 'band.eda' to MNE: it has no samples"),
    ],
)
def test_what_mne_cannot_have_is_told(
    streams: tuple[str, ...], asked: str | None, message: str
) -> None:
    infos = [StreamInfo(name, Fraction(4), EDA.channels) for name in streams]
    empty = {i.name: (Block(i, 0, 0.0, np.empty((0, 1))),) for i in infos}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        to_mne(Recording(empty), asked)
    assert str(error.value) == message


def test_a_block_becomes_a_frame_with_reasons_in_words() -> None:
    info = StreamInfo(
        "estimates", Fraction(4), (Channel("valence"), Channel("eda.window_start"))
    )
    data = np.array(
        [[0.5, 1.0], [MissingReason.UNTRAINED.nan, np.nan], [np.nan, np.nan]]
    )
    frame = to_pandas(Block(info, 2, 10.0, data))
    assert list(frame.columns) == ["valence", "valence.missing", "eda.window_start"]
    assert list(frame["valence.missing"]) == ["ok", "untrained", "no signal"]
    assert list(frame.index) == [10.5, 10.75, 11.0]
    assert frame.index.name == "time"


def test_reasons_that_a_stage_gives_itself_are_put_into_words() -> None:
    info = StreamInfo(
        "estimates", Fraction(4), (Channel("valence"), Channel("valence.missing"))
    )
    data = np.array([[0.5, 0.0], [np.nan, float(MissingReason.TOO_SHORT)]])
    frame = to_pandas(Block(info, 0, 0.0, data))
    assert list(frame.columns) == ["valence", "valence.missing"]
    assert list(frame["valence.missing"]) == ["ok", "too short"]


def test_a_recording_becomes_a_frame_each_stream_with_rows_for_lost_samples() -> None:
    frames = to_pandas(session())
    assert set(frames) == {
        "headset.eeg",
        "band.eda",
        "session.markers",
        "study.conditions",
        "session.stream_timeout",
    }
    eeg = frames["headset.eeg"]
    assert eeg.shape == (2000, 4)
    assert eeg.iloc[1000:1250].isna().all().all()
    # Times are epoch + i / rate, to the rounding of such a sum.
    np.testing.assert_allclose(eeg.index, 100 + np.arange(2000) / 250, rtol=1e-15)
    assert eeg.attrs == {
        "stream": "headset.eeg",
        "rate": 250.0,
        "origin": "measured",
        "participant": "p07",
        "units": {"Fz": "uV", "OZ": "uV", "pulse": "1", "heart": "mV"},
    }
    assert frames["study.conditions"].to_dict("list") == {
        "label": ["stress"],
        "end": [106.0],
    }


def test_a_frame_is_the_callers_own() -> None:
    recording = session()
    frame = to_pandas(recording)["band.eda"]
    frame.iloc[0, 0] = 99.0
    assert recording.streams["band.eda"][0].data[0, 0] == 0.5


def test_a_real_wristband_goes_to_pandas_and_mne(data: Path) -> None:
    from physio.datasets.open_recording import read

    recording = read(data / "empatica_e4" / "session61min")
    frames = to_pandas(recording)
    blocks = recording.streams["e4.eda"]
    assert len(frames["e4.eda"]) == blocks[-1].stop
    raw = to_mne(recording, "e4.eda")
    assert raw.n_times == blocks[-1].stop
    unix = float(recording.metadata["begin_unix"]) - recording.begin
    unix += float(blocks[0].times[0])
    # A float of Unix seconds holds a quarter of a microsecond; MNE keeps microseconds.
    assert raw.info["meas_date"].timestamp() == pytest.approx(unix, abs=2e-6)


def test_electrodes_with_a_reference_have_positions_in_mne() -> None:
    names = ("Fp1-A1", "EEG Cz-Ref", "O2.")
    channels = tuple(Channel(name, "eeg", "uV") for name in names)
    info = StreamInfo("a.eeg", Fraction(100), channels)
    raw = to_mne(Recording({"a.eeg": (Block(info, 0, 0.0, np.zeros((10, 3))),)}))
    positions = raw.get_montage().get_positions()["ch_pos"]
    assert tuple(positions) == names
    assert positions["O2."][1] < positions["EEG Cz-Ref"][1] < positions["Fp1-A1"][1]
