"""The checks before a session: what a good participant shows, and what a bad one."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.study.preflight import ECHO, STEPS, checks

RATE = 250


def recording(
    *, blinks: bool = True, alpha: float = 12.0, breath: bool = True
) -> Recording:
    """A participant who does what is asked, or not."""
    rng = np.random.default_rng(3)
    t = np.arange(98 * RATE) / RATE
    eeg = rng.normal(0, 4.0, (len(t), 3))
    for at in np.arange(2.0, 12.0) if blinks else ():
        eeg[:, 0] += 120 * np.exp(-(((t - at) / 0.08) ** 2))
    closed = (t >= 46) & (t < 76)
    eeg[:, 1] += np.where(closed, alpha, 2.0) * np.sin(2 * np.pi * 10 * t)
    slow = np.arange(98 * 4) / 4
    skin = np.full(len(slow), 4.0)
    if breath:
        u = np.clip(slow - 78.0, 0, None)
        skin += 1.0 * (np.exp(-u / 2.0) - np.exp(-u / 0.7))
    streams = {}
    for name, rate, channels, data in (
        (
            "cap.eeg",
            RATE,
            tuple(Channel(n, "eeg", "uV") for n in ("Fp1", "O1", "Cz")),
            eeg,
        ),
        ("band.eda", 4, (Channel("eda", "gsr", "uS"),), skin[:, None]),
        ("cap.r", 4, (Channel("Fp1.r", "misc", "kOhm"),), np.full((98 * 4, 1), 12.0)),
    ):
        info = StreamInfo(name, Fraction(rate), channels)
        streams[name] = (Block(info, 0, 0.0, np.ascontiguousarray(data)),)
    told = [(s.at, s.label) for s in STEPS]
    told += [(20.01, f"{ECHO}{20.0!r}"), (30.03, f"{ECHO}{30.0!r}")]
    told.sort()
    times = np.array([at for at, _ in told])
    labels = tuple(label for _, label in told)
    events = Events(
        event_stream(MARKERS), 98.0, times, np.empty((len(told), 0)), labels
    )
    return Recording(streams, {MARKERS: events})


def test_a_clock_that_jumped_is_seen(tmp_path: Path) -> None:
    status = Events(
        event_stream("session.status"), 98.0, np.array([50.0]), np.empty((1, 0)),
        ("clock: the stamps of cap.eeg jumped +3.0 s",),
    )  # fmt: skip
    good = recording()
    told = {**good.events, "session.status": status}
    found = {c.quantity: c for c in checks(Recording(good.streams, told), tmp_path)}
    assert found["clock"].ok is False
    assert found["clock"].value == 1


def test_who_does_what_is_asked_passes_and_what_is_not_there_is_not_told(
    tmp_path: Path,
) -> None:
    found = {c.quantity: c for c in checks(recording(), tmp_path)}
    assert found["frontal blinks"].value == 10
    assert found["alpha, eyes closed"].ok
    assert found["SCR to a breath"].ok
    assert found["Cz usable"].value > 0.95
    assert found["Fp1.r impedance"].value == pytest.approx(12.0)
    assert found["marker round trip"].value == pytest.approx(30.0, abs=1e-6)
    for absent in ("pulse valid", "sitting still"):
        assert found[absent].ok is None
        assert "not measured" in str(found[absent])


@pytest.mark.parametrize(
    ("lacks", "what"),
    [
        ({"blinks": False}, "frontal blinks"),
        ({"alpha": 2.0}, "alpha, eyes closed"),
        ({"breath": False}, "SCR to a breath"),
    ],
)
def test_what_does_not_happen_is_seen(
    lacks: dict[str, float], what: str, tmp_path: Path
) -> None:
    found = {c.quantity: c.ok for c in checks(recording(**lacks), tmp_path)}  # type: ignore[arg-type]
    assert found[what] is False
    assert sum(ok is False for ok in found.values()) == 1
