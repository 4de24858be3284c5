"""The simulated physiology shows in the signals, and participants differ."""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.signal import find_peaks, welch

from devices.simulated import Chest, Headset, Wristband
from devices.simulated.participant import EFFECTS, Participant
from devices.simulated.wristband import _responses
from physio.core.block import Block
from physio.core.protocols import FastClock

PEOPLE = range(20)


class Life(dict[str, np.ndarray]):
    """All that a device sent, by the streams' own names; times beside as ``name@``."""

    labels: tuple[str, ...] = ()


@cache
def life(make: type, seed: int, seconds: float = 240.0, **settings: Any) -> Life:
    clock = FastClock()
    parts: dict[str, list[Any]] = {}
    with make(clock=clock, seed=seed, seconds=seconds, **settings) as device:
        clock.wait(seconds)
        for item in device.read():
            parts.setdefault(item.info.name.partition(".")[2], []).append(item)
    out = Life()
    for name, items in parts.items():
        out[name] = np.concatenate([i.data for i in items])
        out[f"{name}@"] = np.concatenate([i.times for i in items])
        if not isinstance(items[0], Block) and name == "conditions":
            out.labels = items[0].labels
    return out


def spell(lived: Life, label: str) -> tuple[float, float]:
    """Return from when to when a condition lasted, its first 10 s left out."""
    i = lived.labels.index(label)
    begin = float(lived["conditions@"][i])
    return begin + 10, begin + float(lived["conditions"][i, 0])


def within(times: np.ndarray, spell: tuple[float, float]) -> np.ndarray:
    return (times >= spell[0]) & (times < spell[1])


def alpha(lived: Life, spell: tuple[float, float]) -> float:
    """Return the logarithm of the power from 7 to 13 Hz at the back."""
    x = lived["eeg"][within(lived["eeg@"], spell)]
    f, power = welch(x, 128, nperseg=256, axis=0)
    return float(np.log(power[(f >= 7) & (f <= 13)].mean()))


def contrasts(preset: str) -> np.ndarray:
    """Return stress less baseline of each participant: responses, heart rate, alpha."""
    rows = []
    back: dict[str, Any] = {"channels": ("O1", "Pz", "O2"), "rate": Fraction(128)}
    for seed in PEOPLE:
        band = life(Wristband, seed, preset=preset)
        head = life(Headset, seed, preset=preset, **back)
        spells = [spell(band, label) for label in ("stress", "baseline")]
        beats, responses = band["beats@"], band.get("responses@", np.empty(0))
        values = [
            (
                np.sum(within(responses, s)) / (s[1] - s[0]) * 60,
                60 / np.diff(beats[within(beats, s)]).mean(),
                alpha(head, s),
            )
            for s in spells
        ]
        rows.append(np.subtract(*values))
    return np.array(rows)


def test_effects_point_where_the_table_says() -> None:
    strong, weak = contrasts("exaggerated"), contrasts("published")
    error = strong.std(axis=0, ddof=1) / np.sqrt(len(PEOPLE))
    responses, heart, back = (strong.mean(axis=0) / error).tolist()
    # means over participants at least four standard errors from nothing
    assert responses > 4
    assert heart > 4
    assert back < -4
    assert np.all(np.abs(weak.mean(axis=0)) < 0.6 * np.abs(strong.mean(axis=0)))


def test_participants_answer_differently() -> None:
    weak = contrasts("published")
    alpha = weak[:, 2]
    assert np.any(alpha > 0)  # against the mean, as the table's sd has it
    assert np.any(alpha < 0)
    assert weak[:, 1].std() > 2  # 1/min; the table's 4 on about one unit of arousal


def test_effects_are_drawn_about_the_table() -> None:
    participants = [Participant.draw(seed, "published") for seed in range(400)]
    for name, (mean, sd) in EFFECTS.items():
        own = np.array([p.effects[name] for p in participants])
        # 400 draws: 5 standard errors of a mean and of a standard deviation
        assert abs(own.mean() - mean) < 5 * sd / 20
        assert abs(own.std() - sd) < 5 * sd / np.sqrt(800)
    rates = [p.traits["heart"] for p in participants]
    assert 6 < np.std(rates) < 10


def test_a_short_demonstration_has_every_condition() -> None:
    lived = life(Wristband, 1, seconds=60.0)
    assert set(lived.labels) == {
        "baseline",
        "amusement",
        "stress",
        "meditation",
        "rest",
    }
    stress = lived["truth"][within(lived["truth@"], spell(lived, "stress"))]
    calm = lived["truth"][within(lived["truth@"], (5.0, 12.0))]
    assert stress[:, 1].mean() > calm[:, 1].mean() + 0.5
    assert len(lived["ratings"]) == 8
    assert set(np.unique(lived["ratings"] * 4 % 1)) == {0.0}


def test_participants_go_through_it_in_both_orders() -> None:
    orders = [life(Chest, seed, seconds=20.0).labels for seed in range(12)]
    first = [labels.index("stress") < labels.index("amusement") for labels in orders]
    assert 1 < sum(first) < 11


def test_a_random_course_covers_the_space_and_moves_slowly() -> None:
    rows = np.vstack(
        [life(Chest, s, seconds=600.0, protocol="random")["truth"] for s in range(4)]
    )
    assert np.all(np.abs(rows) < 1)
    assert np.all(rows.max(axis=0) > 0.5)
    assert np.all(rows.min(axis=0) < -0.5)
    # two time constants of 40 s: in a quarter of a second far less than a tenth
    assert np.abs(np.diff(rows[:2400], axis=0)).max() < 0.03


def test_eeg_falls_as_one_over_f_with_an_alpha_peak_behind() -> None:
    for seed in (1, 2, 9):
        who = Participant.draw(seed, "published")
        lived = life(Headset, seed)
        f, power = welch(lived["eeg"], 250, nperseg=1000, axis=0)
        central = power[:, 2:4].mean(axis=1)
        fit = ((f > 1) & (f < 5)) | ((f > 25) & (f < 45))
        slope = np.polyfit(np.log(f[fit]), np.log(central[fit]), 1)[0]
        assert -2.5 < slope < -0.7
        behind = power[:, 6:].mean(axis=1) * f  # flat where the background is
        span = (f >= 6) & (f <= 14)
        peak = f[span][np.argmax(behind[span])]
        # one bin of the spectrum is 0.25 Hz, the rhythm is 1.6 Hz wide
        assert abs(peak - who.traits["alpha.freq"]) < 1.0
        near = np.abs(f - who.traits["alpha.freq"]) < 1
        assert power[near, 6:].mean() > 3 * power[near, :2].mean()


def test_neighbours_see_the_same_sources() -> None:
    lived = life(Headset, 1, channels=("O1", "Oz", "Fp1", "C3", "C1"))
    r = np.corrcoef(lived["eeg"].T)
    assert r[0, 1] > 0.7
    assert r[3, 4] > 0.7
    assert abs(r[1, 2]) < 0.3


def test_blinks_are_where_the_truth_says_and_in_front() -> None:
    lived = life(Headset, 2)
    eeg, onsets = lived["eeg"], lived["blinks@"]
    inner = onsets[(onsets > 1) & (onsets < 235)]
    at = (inner * 250).astype(int)
    height = np.array([eeg[i : i + 75].max(axis=0) - eeg[i] for i in at]).mean(axis=0)
    assert height[:2].min() > 2 * height[6:].max()
    # seen through the electrode's share, above the background's own ups and downs
    assert height[:2].min() > 0.4 * lived["blinks"][:, 0].mean()


def test_ecg_and_pulse_come_from_one_train_of_beats() -> None:
    for seed in (1, 2, 3):
        chest, band = life(Chest, seed), life(Wristband, seed)
        beats = chest["beats@"]
        np.testing.assert_array_equal(beats, band["beats@"])
        beats = beats[(beats > 1) & (beats < 238)]
        ecg = chest["ecg"][:, 0]
        peaks, _ = find_peaks(ecg, height=0.6 * np.percentile(ecg, 99.5), distance=75)
        off = [np.abs(peaks / 250 - b).min() for b in beats]
        # half a sample is 2 ms; noise of 12 uV moves the top of an R wave no further
        assert np.percentile(off, 95) < 0.006
        upstroke = np.diff(band["bvp"][:, 0])
        lags = [np.argmax(upstroke[int(b * 64) :][:40]) / 64 for b in beats]
        transit = Participant.draw(seed, "published").traits["transit"]
        # steepest some 40 to 70 ms after the foot
        assert 0.02 < np.median(lags) - transit < 0.09


def test_the_heart_breathes() -> None:
    chest = life(Chest, 2, protocol="rest")
    beats = chest["beats@"]
    rate = 60 / np.diff(beats)
    middle = (beats[1:] + beats[:-1]) / 2
    breath = np.interp(middle, chest["resp@"], chest["resp"][:, 0])
    rest = rate - np.convolve(rate, np.ones(9) / 9, "same")  # less the slow part
    assert np.corrcoef(rest[9:-9], breath[9:-9])[0, 1] > 0.5


def test_skin_responses_have_no_solver_s_shape() -> None:
    t = np.arange(0, 30, 0.25)
    bateman = np.exp(-t / 2.0) - np.exp(-t / 0.7)
    lived = life(Wristband, 2, seconds=600.0)
    shapes = lived["responses"]
    assert np.std(np.log(shapes[:, 1])) > 0.1
    assert np.std(np.log(shapes[:, 2])) > 0.15
    for _, rise, half in shapes[:5]:
        y = _responses(t, np.array([[0.0, 1.0, rise, half, 1.8]]))
        best = min(
            np.linalg.norm(y - b * (b @ y) / (b @ b)) / np.linalg.norm(y)
            for shift in range(8)
            for b in (np.roll(bateman, shift),)
        )
        assert best > 0.1  # a tenth of the response is left however it is fitted


def test_acceleration_is_gravity_and_moving_in_steps_of_the_sensor() -> None:
    acc = life(Wristband, 1)["acc"]
    assert np.median(np.linalg.norm(acc, axis=1)) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(acc * 64, np.round(acc * 64))


def test_values_are_plausible() -> None:
    bounds = {"eda": (0.01, 30.0), "temp": (28.0, 37.0), "bvp": (-900.0, 900.0)}
    for seed in PEOPLE:
        lived = life(Wristband, seed, preset="published")
        for name, (low, high) in bounds.items():
            assert low < lived[name].min() < lived[name].max() < high
        assert 35 < 60 / np.diff(lived["beats@"]).mean() < 110
