"""Codes of trigger columns are events, wherever the blocks begin."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import concatenate
from physio.io.channel_kinds import channel_kind, is_helper
from physio.io.triggers import TriggerDecoder

EEG = Channel("Cz", "eeg", "uV")


def stream(*names: str) -> StreamInfo:
    channels = (EEG, *(Channel(name, "stim") for name in names))
    return StreamInfo("amp.eeg", Fraction(100), channels)


def decoded(
    codes: Array, names: tuple[str, ...] = ("TRG",), cuts: tuple[int, ...] = ()
) -> tuple[list[tuple[float, str]], list[str]]:
    info = stream(*names)
    columns = np.atleast_2d(codes).reshape(len(names), -1)
    data = np.ascontiguousarray(np.vstack([np.ones(columns.shape[1]), columns]).T)
    block = Block(info, 0, 5.0, data)
    decoder = TriggerDecoder(info, "amp.triggers")
    events = concatenate([decoder.decode(b) for b in block.split(sorted(cuts))])
    assert events.info.participant == info.participant
    found = list(zip(events.times.round(9).tolist(), events.labels, strict=True))
    return found, decoder.notices()


def test_a_change_to_a_code_is_a_trigger() -> None:
    codes = np.array([0, 0, 1, 1, 0, 2, 3, 0, np.nan, 0, 3])
    assert decoded(codes)[0] == [(5.02, "1"), (5.05, "2"), (5.06, "3"), (5.1, "3")]


@pytest.mark.parametrize("base", [0xFF0000, 0x910000, -0x10000, -0x800000])
def test_states_above_the_port_are_no_codes(base: int) -> None:
    """BioSemi's status: battery, speed, and CM in range, also as 24 signed bits."""
    codes = np.array([0, 0, 10, 10, 0, 255, 0]) + base
    codes[3] ^= 0x10000  # begin of an epoch, while the code stays
    assert [label for _, label in decoded(codes)[0]] == ["10", "255"]


def test_a_port_that_rests_at_ones_has_no_trigger_there() -> None:
    codes = np.array([255, 255, 10, 255, 255, 7, 255])
    assert [label for _, label in decoded(codes)[0]] == ["10", "7"]


def test_a_code_at_the_begin_counts_once_zero_was_there() -> None:
    codes = np.array([5, 5, 0, 5, 0])
    assert decoded(codes)[0] == [(5.03, "5")]


def test_several_columns_are_told_apart() -> None:
    codes = np.array([[0, 1, 1, 0], [0, 0, 4, 0]])
    found, _ = decoded(codes, ("STI 001", "STI 002"))
    assert found == [(5.01, "STI 001 1"), (5.02, "STI 002 4")]


def test_an_analogue_channel_has_no_triggers() -> None:
    values = np.random.default_rng(1).normal(0, 3, 500)
    values = np.where(np.abs(values - np.rint(values)) < 0.05, 0.3, values)
    assert decoded(values) == ([], [])


def test_a_column_that_always_changes_is_given_up_by_name() -> None:
    found, notices = decoded(np.arange(2000.0))
    assert len(found) == 20
    (notice,) = notices
    assert notice.startswith("TRG of amp.eeg changes too often to be a trigger channel")


@given(
    st.lists(st.sampled_from([0.0, 0, 0, 1, 2, 255, np.nan, 0.5]), min_size=1),
    st.lists(st.integers(0, 60)),
)
def test_blocks_do_not_matter(codes: list[float], cuts: list[int]) -> None:
    inner = tuple(sorted({c for c in cuts if 0 < c < len(codes)}))
    whole = decoded(np.array(codes))
    assert decoded(np.array(codes), cuts=inner) == whole


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        *((x, "stim") for x in ("TRIGGER", "Status", "HardwareMarker", "TRG", "STI 014",
                                "MARKER_HARDWARE", "EEG.MarkerHardware", "Trig1",
                                "StimulusCode", "Event ID", "TTL_1", "Marker0")),
        *((x, "misc") for x in ("Timestamp", "Counter", "Interpolate", "EEG.RawCq",
                                "Battery", "VAL", "CNT", "OR_TIME_STAMP_s", "GYROX",
                                "HighBitFlex", "EEG.BatteryPercent")),
        *((x, "eeg") for x in ("AF3", "EEG 1", "Fp1-M2", "T7", "A1", "Cz")),
    ],
)  # fmt: skip
def test_helper_columns_are_no_electrodes(label: str, kind: str) -> None:
    """Even if a device declares all its columns to be EEG, as Emotiv does."""
    assert channel_kind(label, "", "EEG").kind == kind


def test_movement_is_no_helper_column() -> None:
    assert is_helper("EEG.Battery")
    assert is_helper("CQ_AF3")
    assert not any(map(is_helper, ("ACC1", "GYROX", "Fz", "EDA", "q0")))
