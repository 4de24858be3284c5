"""Skin conductance at nine sampling rates and with contact artifacts, beside peers."""

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row, untimed_row
from experiments.eda_artifacts.evaluate import (
    PER_STRETCH,
    Rule,
    detection,
    insertions,
    responses_lost,
)
from experiments.eda_artifacts.recordings import artifacts, recordings, stretches
from experiments.eda_artifacts.rules import Taylor, kleckner, kocielnik
from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import Chain, apply
from physio.features.eda.contact_artifacts import find_artifacts
from physio.online.shipped_chains import default_chains

RATES: Final = "2", "3.99", "4", "8", "15.6", "64", "700", "1000", "2000"
SECONDS: Final = 120
NOISE: Final = 0.003  # uS, of the device
_RESOLUTION: Final = 0.0015  # uS
_EVERY: Final = PER_STRETCH // 2  # of the insertions, one is compared
_CLEAN: Final = 4  # one of these stretches is searched for lost responses
_LEAD: Final = 160  # values in front of stretches with responses


def rows(data: Path | None) -> list[Row]:
    """Return the dependence on the rate, and the detection of artifacts."""
    results = [_rates()]
    if data is None or not (data / "wesad").exists():
        return results
    return [*results, *_artifacts(data)]


def skin(rate: float) -> Array:
    """Return a level with ten responses, as a device samples it (uS)."""
    t = np.arange(int(SECONDS * rate)) / rate
    x = 3.0 + 0.3 * np.sin(2 * np.pi * t / 90)
    rng = np.random.default_rng(1)
    onsets = np.linspace(8, SECONDS - 12, 10) + rng.uniform(-2, 2, 10)
    for onset, size in zip(onsets, rng.uniform(0.1, 0.5, 10), strict=True):
        s = np.clip(t - onset, 0, None)
        x += size * (np.exp(-s / 2.0) - np.exp(-s / 0.7)) / 0.41
    x += rng.normal(0, NOISE, len(x))
    return np.asarray(np.round(x / _RESOLUTION) * _RESOLUTION)


def _rates() -> Row:
    ours, theirs = [], []
    for text in RATES:
        x = skin(float(Fraction(text)))
        info = StreamInfo("band.eda", Fraction(text), (Channel("eda", "gsr", "uS"),))
        table = default_chains([info], ["eda"])["eda"]
        stages = [config.build(stage, "chains.toml") for stage in table["stages"]]
        y = apply(
            Chain(tuple(stages)), Block(info, 0, 0.0, np.ascontiguousarray(x[:, None]))
        )
        ours.append((y.column("scr_rate")[-1], y.column("tonic")[-1]))
        theirs.append(_neurokit(x, float(Fraction(text))))
    figures: dict[str, object] = {}
    for name, parts in (("ours", ours), ("theirs", theirs)):
        responses, tonic = np.array(parts).T
        figures[f"{name}_responses_per_min"] = responses.round(1).tolist()
        figures[f"{name}_tonic_range"] = float(np.ptp(tonic))
    return untimed_row(
        "EDA at 2 to 2000 Hz, last minute", "neurokit2 eda_process", **figures
    )


def _neurokit(x: Array, rate: float) -> tuple[float, float]:
    """Return neurokit2's responses in the last minute, and the level at its end."""
    import neurokit2 as nk

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = nk.eda_process(x, sampling_rate=rate)[0].iloc[-int(60 * rate) :]
    except Exception:  # it raises many types of error at low rates
        return np.nan, np.nan
    at = min(round(5 * rate), len(table) - 1)
    return float(table["SCR_Peaks"].sum()), float(table["EDA_Tonic"].iloc[-at])


def _artifacts(data: Path) -> list[Row]:
    """Return F1 of artifacts in recordings of others, and the responses lost."""
    records = recordings(data)
    cut = artifacts(records, "train")
    training = list(insertions(stretches(records, "train", "still"), cut))[::_EVERY]
    masks = [np.zeros(len(case.values), np.bool_) for case in training]
    for mask, case in zip(masks, training, strict=True):
        mask[case.begin : case.end] = True
    cases = list(insertions(stretches(records, "test", "still"), cut))[::_EVERY]
    rich = stretches(records, "test", "responses", _LEAD)[::_CLEAN]
    rules: dict[str, Rule] = {
        "Kleckner 2018": kleckner,
        "Kocielnik 2013": kocielnik,
        "Taylor 2015": Taylor([case.values for case in training], masks),
    }
    ours, lost = detection(find_artifacts, cases), responses_lost(find_artifacts, rich)
    return [
        untimed_row(
            f"contact artifacts, {len(cases)} insertions in recordings of others",
            name,
            ours_f1=ours["f1"],
            theirs_f1=detection(rule, cases)["f1"],
            ours_responses_lost=lost["share"],
            theirs_responses_lost=responses_lost(rule, rich)["share"],
        )
        for name, rule in rules.items()
    ]
