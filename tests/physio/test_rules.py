"""Rules fire at the rows that their condition says, live and in a replay."""

import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.protocols import FastClock
from physio.io import xdf
from physio.online.rules import Rule, RuleRunner, TimedCondition, parse_rules
from physio.online.session import Session
from physio.online.session_config import SessionConfig

NAN = MissingReason.POOR_QUALITY.nan
COLUMNS = ("arousal", "valence", "arousal.sd")
ESTIMATES = StreamInfo("estimates", Fraction(4), tuple(map(Channel, COLUMNS)))
FEATURES = StreamInfo("features", Fraction(4), (Channel("heart.rate"),))


def fired(rule: Rule, arousal: list[float], cuts: tuple[int, ...] = ()) -> list[int]:
    """Return the rows at which a rule fires, the rows cut into blocks."""
    runner = RuleRunner([rule], (ESTIMATES, FEATURES))
    data = np.zeros((len(arousal), 3))
    data[:, 0] = arousal
    whole = Block(ESTIMATES, 0, 100.0, data)
    events = [e for part in whole.split(sorted(cuts)) for e in runner.push(part)]
    rows = [(e.times[0] - 100.0) * 4 for e in events]
    assert np.allclose(rows, np.round(rows), atol=0)
    return [int(row) for row in rows]


def test_a_rule_fires_once_its_condition_has_held() -> None:
    rule = Rule("up", "arousal > 0.3 for 1 s")
    assert fired(rule, [0.5] * 20) == [4]
    assert fired(rule, [0.5] * 4 + [0.3] + [0.5] * 10) == [9]
    assert fired(Rule("up", "arousal >= 0.5"), [0.4, 0.5, 0.5, 0.4, 0.6]) == [1, 4]
    assert fired(Rule("down", "arousal < -0.2 for 500 ms"), [-0.3] * 5) == [2]
    both = Rule("b", "arousal > 0 and valence <= 0 and 'arousal.sd' < 1 for 0.25 s")
    assert fired(both, [1.0] * 4) == [1]


def test_a_missing_value_neither_fires_nor_rearms() -> None:
    rule = Rule("up", "arousal > 0.3 for 1 s")
    assert fired(rule, [NAN] * 40) == []
    assert fired(rule, [0.5, 0.5, 0.5, NAN, 0.5, 0.5, 0.5, 0.5, 0.5]) == [8]
    assert fired(rule, [0.5] * 5 + [NAN] * 5 + [0.5] * 20) == [4]
    below = Rule("down", "arousal < 0.3")
    assert fired(below, [NAN, 0.1, NAN, 0.1, 0.5, 0.1]) == [1, 5]


def test_lost_rows_interrupt() -> None:
    runner = RuleRunner([Rule("up", "arousal > 0.3 for 1 s")], (ESTIMATES,))
    rows = np.full((3, 3), 0.5)
    first, later = Block(ESTIMATES, 0, 0.0, rows), Block(ESTIMATES, 9, 0.0, rows.copy())
    assert list(runner.push(first)) == []
    assert list(runner.push(later)) == []


def test_hysteresis_and_dead_time() -> None:
    wobble = [0.35, 0.25] * 10
    assert len(fired(Rule("up", "arousal > 0.3"), wobble)) == 10
    assert fired(Rule("up", "arousal > 0.3", rearm="arousal < 0.1"), wobble) == [0]
    assert fired(
        Rule("up", "arousal > 0.3", rearm="arousal < 0.1 for 0.5 s"),
        [0.4, 0.05, 0.4, 0.05, 0.05, 0.05, 0.4],
    ) == [0, 6]
    dead = Rule("up", "arousal > 0.3", dead_time=2.0)
    assert fired(dead, wobble) == [0, 8, 16]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, NAN]), min_size=1, max_size=60),
    st.sets(st.integers(0, 60)),
)
def test_the_cut_into_blocks_does_not_matter(
    values: list[float], cuts: set[int]
) -> None:
    rule = Rule("up", "arousal > 0.3 for 0.5 s", "arousal < 0.1", dead_time=1.5)
    inside = tuple(c for c in cuts if c < len(values))
    assert fired(rule, values, inside) == fired(rule, values)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no comparison; write it as"),
        ("arousal", "'arousal' is no comparison"),
        ("arousal > high", "'high' is no number"),
        ("arousal > nan", "'nan' is no number"),
        ("arousal > 0.3 for five s", "'five' is no number"),
        ("arousal > 0.3 for -1 s", "not below 0"),
        ("arousal > 0.3 for 5", "'arousal > 0.3 for 5' is no comparison"),
        ("arousal > 0.3 or valence < 0", "a rule for each condition instead of 'or'"),
        ("arousal = 0.3", "is no comparison"),
        ("arousal > 0.3 and", "is no comparison"),
        ("__import__('os').system('x') > 1", "is no comparison"),
        ("a" * 600, "at most 500 characters"),
    ],
)
def test_a_wrong_condition_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"s\.toml: rules\.up") as error:
        parse_rules({"up": {"when": text}}, "s.toml: rules")
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"code": 300}, "code is a number from 1 to 255"),
        ({"dead_time": -1.0}, "dead_time is a time from 0 s"),
        ({"marker": "baseline start"}, "would change the estimates"),
        ({"marker": " "}, "marker = ' ' is blank or has characters"),
        ({"marker": "a\x1b[2J"}, "characters that cannot be printed"),
        ({"marker": "sam 7 3 5"}, "would change the estimates"),
        ({"then": "osc"}, "a rule has no setting 'then'"),
    ],
)
def test_a_wrong_setting_is_refused(extra: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_rules({"up": {"when": "arousal > 0", **extra}}, "rules")


def test_an_unknown_column_is_reported() -> None:
    rules = [Rule("a", "arusal > 0"), Rule("b", "arousal > 0 and heart.rate > 90")]
    runner = RuleRunner(rules, (ESTIMATES, FEATURES))
    assert runner.notices == [
        "rule 'a' does not run: no column 'arusal'; did you mean arousal?",
        "rule 'b' does not run: arousal, heart.rate are partly estimates and partly "
        "features; write a rule for each",
    ]
    assert not runner.is_active


def test_a_condition_is_parsed_exactly() -> None:
    parsed = TimedCondition.parse("'EEG Fpz-Cz' >= 1e-3 and eda.tonic < -2 for 1.5 min")
    assert parsed.columns == ("EEG Fpz-Cz", "eda.tonic")
    assert parsed.seconds == 90.0
    assert [c.operator for c in parsed.comparisons] == [">=", "<"]


SESSION = """
[session]
participant = "p1"
[devices.wrist]
use = "devices.simulated:Wristband"
seed = 5
seconds = 40
[rules]
beating = "heart.rate > 40 for 2 s"
[rules.skin]
when = "eda.tonic > 0"
rearm = "eda.tonic < 0"
code = 7
marker = "skin is there"
"""


def test_a_replay_fires_at_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SESSION)
    config = SessionConfig(tomllib.loads(SESSION), "s.toml")
    assert [r.name for r in config.rules] == ["beating", "skin"]
    from physio.cli.run_session import run_session

    clock, out = FastClock(), tmp_path / "live"
    out.mkdir()
    config = config.with_sinks({"recording": {"use": "physio.sinks.xdf:Xdf"}})
    outcome = run_session(config, config.devices(clock), clock, out)
    assert outcome.figures["faults"] == []
    live = xdf.read(out / "recording.xdf")
    rules = live.events["session.rules"]
    assert set(rules.labels) == {"beating", "skin"}
    assert dict(zip(rules.labels, rules.data[:, 0], strict=True)) == {
        "beating": 0.0,
        "skin": 7.0,
    }
    markers = live.events["session.markers"]
    assert markers.labels == ("skin is there",)
    assert markers.times[0] == rules.times[rules.labels.index("skin")]

    again = tmp_path / "again"
    done = CliRunner().invoke(
        app, ["replay", str(out / "recording.xdf"), "--fast", "--out", str(again)]
    )
    assert done.exit_code == 0, done.output
    replayed = xdf.read(again / "recording.xdf")
    assert replayed.events["session.rules"].labels == rules.labels
    assert replayed.events["session.rules"].times.tobytes() == rules.times.tobytes()
    assert replayed.events["session.markers"].labels == ("skin is there",)


def test_a_refused_marker_of_a_rule_is_reported() -> None:
    config = SessionConfig(tomllib.loads(SESSION), "s.toml")
    clock = FastClock()
    devices = config.devices(clock)
    with Session(config.plan, devices, clock=clock, seconds=40) as session:
        rule = next(r for r in session.plan.rules if r.name == "beating")
        object.__setattr__(rule, "marker", " ")  # as no file can say
        items = list(session)
    texts = [t for i in items if i.info.name == "session.status" for t in i.labels]
    assert any("refused: marker of rule 'beating'" in text for text in texts)
    assert "session.rules" in {item.info.name for item in items}
