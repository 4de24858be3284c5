"""Weights from a study of few simulated people, and personal weights of each."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np

from devices.simulated import Wristband
from experiments.weights.demo import record
from experiments.weights.rating_error import skill, skill_difference
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, condition_events
from physio.models.base import Model
from physio.models.baseline import BaselinePrior
from physio.models.error_bars import ErrorBars
from physio.models.gaussian import GaussianConfig, fit, shrunk
from physio.models.model_card import load
from physio.study.study_folder import Study
from physio.training.calibrated_weights import calibrate
from physio.training.learner import silent
from physio.training.linear_learner import GaussianLearner
from physio.training.live_ticks import LabelledTicks, TickReader
from physio.training.moment_set import MomentSet
from physio.training.moments import FeatureSettings, moments_of
from physio.training.sources import RecordingEntry

COLUMNS: Final = (
    ("eda.tonic", "log"), ("eda.phasic", "sqrt"), ("eda.scr_rate", "sqrt"),
    ("eda.scr_amplitude", "log"), ("eda.slope", "raw"), ("motion.activity", "log"),
    ("temperature.level", "raw"), ("temperature.slope", "raw"),
)  # fmt: skip
SESSION: Final = 400.0
"""Duration of a session of the personal models (s)."""

SHRINK: Final = 0.05
"""Shrinkage in the recipe of `published-all`."""

SETTINGS: Final = FeatureSettings(COLUMNS, baseline_seconds=40.0, every=4.0)
RESULTS: Final = Path(__file__).parent / "results" / "simulated-people.json"
SEED: Final = 23
_AROUSAL: Final = DIMENSIONS.index("arousal")

STUDY: Final = """
[data]
dataset = "study"
folder = "study"
[target]
ratings = ["valence", "arousal", "dominance"]
[features]
columns = {columns}
baseline_seconds = {baseline:g}
every = {every:g}
[output]
name = "few"
controls = false
"""


class Session(NamedTuple):
    """A session: its features and labels, and true arousal at each tick, (n,)."""

    ticks: LabelledTicks
    felt: Array


class Fit(NamedTuple):
    """A fitted model, with its baselines and its error bars."""

    model: Model
    prior: BaselinePrior
    bars: ErrorBars | None


def session(whole: Recording, begin: float, seconds: float, code: str) -> Session:
    """Return a session that is cut out of a recording.

    The pulse is left out, because its chain takes most of the computing time.
    """
    streams = {}
    for name in ("band.eda", "band.acc", "band.temp"):
        info = whole.streams[name][0].info
        data = np.concatenate([b.data for b in whole.streams[name]])
        first, n = int(begin * info.rate), int(seconds * info.rate)
        part = np.ascontiguousarray(data[first : first + n])
        streams[name] = (Block(info, 0, 0.0, part),)
    spans = list(_spans(whole, begin, seconds))
    events = condition_events(spans, -1, 1, participant=code, until=seconds)
    about = {"begin": "0.0", "participant": code}
    recording = Recording(streams, events, (), about)
    entry = RecordingEntry("people", code, f"{begin:g}", "", lambda: recording, ())
    ticks = TickReader({}, None).read(entry)
    truth = whole.streams["band.truth"]
    times = np.concatenate([b.times for b in truth]) - begin
    felt = np.concatenate([b.data[:, _AROUSAL] for b in truth])
    at = np.clip(np.searchsorted(times, ticks.rows.times), 0, len(felt) - 1)
    return Session(ticks, felt[at])


def _spans(whole: Recording, begin: float, seconds: float) -> Iterator[ConditionSpan]:
    """Yield the rated conditions inside a part of a recording."""
    parts, rated = (whole.events[f"band.{k}"] for k in ("conditions", "ratings"))
    for k, (at, long) in enumerate(zip(parts.times, parts.data[:, 0], strict=True)):
        near = np.flatnonzero(np.abs(rated.times - at - long) < 1.0)
        inside = at >= begin - 1 and at + long <= begin + seconds + 1
        if inside and len(near):
            values = rated.data[near[0]].tolist()
            answers = dict(zip(rated.info.names, values, strict=True))
            yield ConditionSpan(f"part {k}", at - begin, at - begin + long, answers)


def few_sessions(plan: Study, people: int, first: int) -> Iterator[Session]:
    """Yield sessions of further people in the orders of a study."""
    orders = plan.orders
    for k in range(people):
        steps = tuple(
            step
            for name in orders[k % len(orders)]
            for step in (("rest", 2.0), (name, plan.design.conditions[name].seconds))
        )
        seconds = sum(long for _, long in steps)
        code = f"seed{first + k}"
        device = Wristband(
            seed=first + k, preset="exaggerated", steps=steps, participant=code
        )
        yield session(record(device, seconds, "band"), 0.0, seconds, code)


def person_sessions(seed: int, sessions: int) -> list[Session]:
    """Return several sessions of one person, cut out of one recording."""
    code = f"seed{seed}"
    device = Wristband(
        seed=seed, preset="exaggerated", protocol="random", cycle=SESSION,
        participant=code,
    )  # fmt: skip
    whole = record(device, SESSION * sessions, "band")
    return [session(whole, SESSION * k, SESSION, code) for k in range(sessions)]


def moment_set(sessions: Iterable[Session]) -> tuple[MomentSet, Array]:
    """Return the moments of sessions, and true arousal at each, (n,)."""
    recordings, ratings, felt = [], [], []
    for part in sessions:
        spans = part.ticks.spans
        moments = moments_of(part.ticks, SETTINGS, [True] * len(spans))
        recordings.append(moments)
        ratings += [[spans[k].answers["arousal"]] for k in moments.span]
        felt.append(part.felt[moments.at])
    y = np.array(ratings, np.float64)
    of = MomentSet(tuple(recordings), y, SETTINGS, ("arousal",), seed=SEED)
    return of, np.concatenate(felt)


def fitted(moments: MomentSet) -> Fit:
    """Return what `physio train` fits: model, baselines, error bars."""
    rows = np.arange(len(moments))
    prior = moments.prior(rows)
    z = moments.inputs(prior)[0]
    samples, learner = moments.samples(rows, z), GaussianLearner()
    answers = np.full((len(rows), 1, 2), np.nan)
    for train, test in samples.held_out():
        inner = moments.prior(train)
        part = moments.samples(train, moments.inputs(inner)[0])
        answers[test] = moments.outputs(learner.fit(part, silent), test, inner)
    model = learner.fit(samples, silent)
    extra = calibrate(moments, answers, model, z, SETTINGS.names)
    return Fit(model, prior, ErrorBars.restore(extra.arrays))


def recipe(moments: MomentSet) -> Fit:
    """Return a fit by the recipe of `published-all`."""
    rows = np.arange(len(moments))
    prior = moments.prior(rows)
    config = GaussianConfig(len(COLUMNS), ("arousal",))
    samples = moments.samples(rows, moments.inputs(prior)[0])
    mean, cov = fit(config, samples.x, moments.y, samples.trials)
    return Fit(shrunk(config, mean, cov, SHRINK, 0.0), prior, None)


def squared(fit_of: Fit, moments: MomentSet, felt: Array, middle: float) -> Array:
    """Return squared errors of a fit and of a constant by participant, (k, 2)."""
    out = moments.outputs(fit_of.model, np.arange(len(moments)), fit_of.prior)[:, 0]
    if fit_of.bars is not None:
        full = np.full((2, len(out), len(DIMENSIONS)), np.nan)
        full[:, :, _AROUSAL] = out.T
        out = np.stack([v[:, _AROUSAL] for v in fit_of.bars.apply(*full)], axis=1)
    mean = np.where(np.isfinite(out[:, 0]), out[:, 0], middle)
    errors = np.stack([(mean - felt) ** 2, (middle - felt) ** 2], axis=1)
    codes = moments.participants
    return np.array([errors[codes == c].mean(axis=0) for c in dict.fromkeys(codes)])


def study_results(people: int) -> dict[str, Any]:
    """Return arousal skill in further people after a rehearsed study and training."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _physio(root, "study", "init", "study")
        _physio(root, "study", "rehearse", "study")
        columns = json.dumps([list(c) for c in COLUMNS])
        text = STUDY.format(columns=columns, baseline=SETTINGS.baseline_seconds,
                            every=SETTINGS.every)  # fmt: skip
        (root / "train.toml").write_text(text, "utf-8")
        _physio(root, "train", "train.toml")
        weights = load(f"{root}/few")
        plan = Study.open(root / "study")
        few, _ = moment_set(list(_rehearsed(root / "study")))
        test, felt = moment_set(few_sessions(plan, people, 20_000))
    trained = Fit(
        weights.model(), BaselinePrior.restore(weights.part("rest")),
        ErrorBars.restore(weights.arrays),
    )  # fmt: skip
    middle = float(np.mean(few.y))
    errors = {
        "physio train": squared(trained, test, felt, middle),
        "physio train, without error bars": squared(
            trained._replace(bars=None), test, felt, middle
        ),
        "recipe of published-all": squared(recipe(few), test, felt, middle),
    }
    return {
        "trained on": sorted(set(few.participants)),
        "tested on": people,
        "arousal skill": {name: skill(e, SEED) for name, e in errors.items()},
        "less the recipe": skill_difference(
            errors["physio train, without error bars"],
            errors["recipe of published-all"], SEED,
        ),
        "limits": list(weights.card.limits),
    }  # fmt: skip


def _rehearsed(root: Path) -> Iterator[Session]:
    """Yield the sessions of a rehearsed study as `physio train` reads them."""
    from physio.training.sources import DataSource, open_source

    reader = TickReader({}, None)
    for entry in open_source(DataSource("study", "."), [root]).entries:
        ticks = reader.read(entry)
        names = [c.name for c in ticks.rows.info.channels]
        if set(SETTINGS.names) <= set(names) and ticks.spans:
            yield Session(ticks, np.full(len(ticks.rows), np.nan))


def _physio(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "physio", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


_COMPARED: Final = (
    "general", "personal", "general, error bars", "personal, error bars", "mean rating",
)  # fmt: skip


def personal_results(people: int, others: int) -> dict[str, Any]:
    """Return arousal skill in the fourth session by personal and general models."""
    general = [s for k in range(others) for s in person_sessions(30_000 + k, 3)]
    middle_set, _ = moment_set(general)
    whole, middle = fitted(middle_set), float(np.mean(middle_set.y))
    errors: dict[str, list[Array]] = {name: [] for name in _COMPARED}
    for k in range(people):
        sessions = person_sessions(40_000 + k, 4)
        mine, _ = moment_set(sessions[:3])
        test, felt = moment_set(sessions[3:])
        for name, fit_of in (("general", whole), ("personal", fitted(mine))):
            bare = fit_of._replace(bars=None)
            errors[f"{name}, error bars"].append(squared(fit_of, test, felt, middle))
            errors[name].append(squared(bare, test, felt, middle))
        level = float(np.mean(mine.y))
        off = np.array([[np.mean((level - felt) ** 2), np.mean((middle - felt) ** 2)]])
        errors["mean rating"].append(off)
    stacked = {name: np.concatenate(parts) for name, parts in errors.items()}
    return {
        "people": people,
        "general of": others,
        "arousal skill": {name: skill(e, SEED) for name, e in stacked.items()},
        "personal less general": skill_difference(
            stacked["personal"], stacked["general"], SEED
        ),
        "personal less mean rating of the person": skill_difference(
            stacked["personal"], stacked["mean rating"], SEED
        ),
        "better in": int((stacked["personal"][:, 0] < stacked["general"][:, 0]).sum()),
    }


def main() -> None:
    """Run both comparisons and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--further", type=int, default=50)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--others", type=int, default=20)
    given = parser.parse_args()
    results = {
        "personal": personal_results(given.people, given.others),
        "study": study_results(given.further),
        "settings": {"columns": [list(c) for c in COLUMNS], "seed": SEED},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
