"""People unlike the training: what is changed, what coverage and novelty show."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.literature.judgement import JUDGEMENT, fixed
from experiments.population.judged_populations import (
    LIMITED,
    PLAIN,
    Moments,
    PopulationTable,
    miss,
    simulated_row,
)
from experiments.population.unlike_people import (
    POPULATIONS,
    Columns,
    Population,
    arousal,
    member,
    slopes,
)
from experiments.simulated.cohort import SimulatedParticipant
from physio.models import model_card

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "population"
COLUMNS: Columns = (("prv.rate", "raw"), ("eda.tonic", "log"), ("eda.scr_rate", "sqrt"))


@pytest.fixture(scope="module")
def person() -> SimulatedParticipant:
    """Return ten minutes of a person whose features answer to arousal."""
    rng = np.random.default_rng(4)
    felt = np.zeros((2400, 3))
    felt[:, 1] = 0.6 * np.sign(np.sin(np.arange(2400) / 190))
    columns = model_card.load("published-all").card.columns
    names = tuple(name for name, _ in columns)
    x = np.abs(rng.normal(3, 0.3, (2400, len(names))))
    blank = SimulatedParticipant(5, names, x, felt, np.empty((0, 4)))
    course = arousal(blank)[:, None]
    changed = x + np.array([8.0 * (n == "prv.rate") for n in names]) * course
    changed[:, names.index("eda.tonic")] *= np.exp(0.5 * course[:, 0])
    changed[:100, names.index("eda.scr_rate")] = np.nan
    return blank._replace(x=changed)


def effect(person: SimulatedParticipant, name: str) -> float:
    at = person.names.index(name)
    return float(slopes(person.x[:, [at]], arousal(person))[0])


def test_what_was_fixed_before_the_first_run_is_unchanged() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"][JUDGEMENT]["sha256"] == fixed(FOLDER)


def test_the_population_of_the_training_is_unchanged(
    person: SimulatedParticipant,
) -> None:
    same = member(person, POPULATIONS["as trained"], COLUMNS)
    np.testing.assert_array_equal(same.x, person.x)


@pytest.mark.parametrize("factor", [0.1, -1.0])
def test_an_effect_is_scaled_by_its_factor(
    person: SimulatedParticipant, factor: float
) -> None:
    changed = member(person, Population({"prv": factor}), COLUMNS)
    assert effect(person, "prv.rate") == pytest.approx(8.0, abs=0.2)
    assert effect(changed, "prv.rate") == pytest.approx(
        factor * effect(person, "prv.rate"), rel=1e-6
    )
    at = person.names.index("eda.tonic")
    np.testing.assert_array_equal(changed.x[:, at], person.x[:, at])
    assert changed.x[:, person.names.index("prv.rate")].mean() == pytest.approx(
        person.x[:, person.names.index("prv.rate")].mean()
    )


def test_dry_skin_is_low_and_silent_and_what_is_missing_stays_so(
    person: SimulatedParticipant,
) -> None:
    dry = member(person, POPULATIONS["dry skin"], COLUMNS)
    at = [person.names.index(n) for n in ("eda.tonic", "eda.scr_rate")]
    np.testing.assert_allclose(dry.x[:, at[0]], 0.05 * person.x[:, at[0]])
    assert np.isnan(dry.x[:100, at[1]]).all()
    assert (dry.x[100:, at[1]] == 0).all()


def test_novelty_widens_the_interval_and_never_narrows_it(
    person: SimulatedParticipant,
) -> None:
    settings = PopulationTable({})
    kinds = {n: POPULATIONS[n] for n in ("as trained", "other device")}
    strange = Population(gains={"prv.rate": 40.0})
    found = {n: settings.moments(person, k) for n, k in kinds.items()}
    far = settings.moments(person, strange)
    assert far.novel.mean() > 0.9
    assert far.half[LIMITED].mean() > far.half[PLAIN].mean()
    for usual in found.values():
        calm = ~usual.novel
        np.testing.assert_allclose(
            usual.half[LIMITED][calm], usual.half[PLAIN][calm], rtol=1e-9
        )


def test_coverage_is_scored_by_its_distance_from_the_level() -> None:
    n = 400
    felt = np.zeros(n)
    right = np.full(n, 0.3)
    wrong = {LIMITED: np.full(n, 2.0), PLAIN: np.zeros(n)}
    one = Moments(wrong, {LIMITED: right, PLAIN: right}, felt, np.ones(n, np.bool_))
    by_way = miss({"as trained": {"7": one}, "other": {"7": one}}, 1)
    assert by_way[LIMITED]["7"] == pytest.approx(-0.8)
    assert -0.2 < by_way[PLAIN]["7"] <= 0
    row = simulated_row("other", {"7": one}, (1, 2))
    assert row["abstains"]
    assert not row["within 5 points"]
