"""Where electrodes are on the head."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Channel, StreamInfo
from physio.core.stream_codec import from_dict, to_dict
from physio.datasets import deap, dreamer, eegmat, seed
from physio.io.montage import known, nearest, places, with_references


@pytest.mark.parametrize("data", [deap, dreamer, eegmat, seed])
def test_every_data_set_s_electrodes_have_a_place_of_their_own(data: object) -> None:
    names = data.EEG  # type: ignore[attr-defined]
    at = places(names)
    np.testing.assert_allclose(np.linalg.norm(at, axis=1), 1, rtol=1e-12)
    apart = np.linalg.norm(at[:, None] - at[None], axis=2)
    assert apart[~np.eye(len(at), dtype=bool)].min() > 0.1


def test_right_front_and_up_are_where_they_should_be() -> None:
    cz, fpz, oz, t7, t8 = places(("Cz", "FPZ", "oz", "T7", "T8"))
    assert cz[2] > 0.99
    assert fpz[1] > 0.99
    assert oz[1] < -0.98
    assert t8[0] > 0.99
    assert t7[0] < -0.99
    assert np.array_equal(places(("T3",)), places(("T7",)))


def test_a_name_that_is_no_place_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"^the position of the electrode 'E7' is unknown: "
    ):
        places(("Cz", "E7"))


def test_the_nearest_electrode_and_those_that_are_known() -> None:
    among = ("Fp1", "Cz", "O2")
    asked = ("Fpz", "AF3", "FCz", "PO8", "Cz", "C3")
    assert nearest(asked, among) == [0, 0, 1, 2, 1, 1]
    assert known(("TP9", "EXG1", "t3", "CB1", "A1", "Trigger")) == (
        "TP9", "t3", "CB1", "A1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "label",
    ["EEG Fp1", "FP1-LE", "Fp1.", "EEG FP1-REF", "EEG Fp1-Ref", "Fp1-A1", "EEG Fp1-A2",
     "FP1", "EEG Fp1-CPz", "Fp1:M1", "Fp1-A1A2", "Fp1-AVG", "fp1-ref", "Fp1A2",
     "EEG.Fp1", "EEGFp1",
     "POL Fp1-Ref", "Fp1-M1M2", "Fp1-LM", "Fp1-linked ears", "Fp1-(A1+A2)/2"],
)  # fmt: skip
def test_the_conventions_of_labels_name_the_same_place(label: str) -> None:
    assert known((label,)) == (label,)
    assert np.array_equal(places((label,)), places(("Fp1",)))


def stream(*labels: str) -> StreamInfo:
    return StreamInfo("a.eeg", Fraction(1), tuple(Channel(x, "eeg") for x in labels))


@pytest.mark.parametrize(
    ("labels", "each", "common"),
    [
        (("Fp1-M2", "EEG C3-M2"), ("M2", "M2"), "M2"),
        (("C3-A2", "C4-A1"), ("A2", "A1"), ""),
        (("EEG Fp1-Ref", "EEG Fp2-Ref"), ("Ref", "Ref"), "Ref"),
        (("FP1-LE", "FP2-LE"), ("LE", "LE"), "LE"),
        (("F3-Cz", "F4-Cz", "O1-Cz"), ("Cz", "Cz", "Cz"), "Cz"),
        (("FP1-F7", "F7-T7", "T7-P7"), ("", "", ""), ""),
        (("Fz-Cz", "Fz"), ("", ""), ""),
        (("Fz", "A1"), ("", ""), ""),
    ],
)
def test_the_reference_is_kept(
    labels: tuple[str, ...], each: tuple[str, ...], common: str
) -> None:
    info = with_references(stream(*labels))
    assert tuple(c.reference for c in info.channels) == each
    assert info.names == labels
    assert info.reference == common
    assert from_dict(to_dict(info)) == info


def test_electrodes_against_a_common_one_have_their_places() -> None:
    names = ("F3-Cz", "F4-Cz", "O1-Cz")
    assert np.array_equal(places(names), places(("F3", "F4", "O1")))


def test_bipolar_channels_and_ear_lobes_have_no_place() -> None:
    assert known(("FP1-F7", "T8-P8", "A2-A1", "C3-C4", "Cz-REF")) == ("Cz-REF",)


def test_names_of_biosemi_are_no_ear_lobes() -> None:
    names = tuple(f"{block}{i + 1}" for block in "AB" for i in range(32))
    assert known(names) == ()
    assert known((*names, "C3", "Fz")) == ("Fz",)
    assert known(("A1", "A2", "C3")) == ("A1", "A2", "C3")
