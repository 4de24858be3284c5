"""The demonstration: a simulated participant, with true values to compare with."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from physio.core.block import Array, Block
    from physio.core.recording import Recording
    from physio.online.session_config import SessionConfig

ASSETS: Final = Path(__file__).parents[1] / "assets"

CONDITIONS: Final = ("baseline", "amusement", "stress", "meditation", "stress")
"""Conditions of the demonstration, of equal length; the first one is the baseline."""

SECONDS: Final = 300.0
"""Duration of the simulated session (s)."""

SPEED: Final = 5.0
"""Speed of the simulated session relative to real time."""

_LEVEL: Final = 80  # %, of the intervals that are compared with the true values


class TruthAgreement(NamedTuple):
    """Agreement of the estimates of a dimension with the true values.

    Parameters
    ----------
    dimension
        ``valence``, ``arousal`` or ``dominance``.
    inside
        Proportion of true values inside the 80 % interval; NaN without estimates.
    r
        Correlation of estimates and true values over time.
    """

    dimension: str
    inside: float
    r: float

    @property
    def sentence(self) -> str:
        """The agreement in words."""
        if self.inside != self.inside:
            return f"{self.dimension}: not estimated"
        share = f"{100 * self.inside:.0f} % of the time"
        return (
            f"{self.dimension}: true value inside the {_LEVEL} % interval {share}, "
            f"r = {self.r:.2f} over time"
        )


def demo_session(seconds: float = SECONDS, seed: int = 7) -> "SessionConfig":
    """Return the session file of the demonstration, with conditions of equal length."""
    from physio import config
    from physio.online.session_config import SessionConfig

    tables = config.read(ASSETS / "demo.toml")
    if find_spec("torch") is None:
        tables["estimator"]["experts"] = [{"weights": "wrist-demo"}]
    part = float(seconds) / len(CONDITIONS)
    steps = [[name, part] for name in CONDITIONS]
    for device in tables["devices"].values():
        device.update(seed=seed, seconds=float(seconds), steps=steps)
    tables["estimator"]["baseline_seconds"] = part
    return SessionConfig(tables, "demo.toml")


def truth_sentences(folder: Path) -> list[str]:
    """Return the agreement of a simulated session's estimates with its true values."""
    from physio.io import xdf

    path = folder / "recording.xdf"
    if not path.is_file():
        return []
    rows = truth_agreement(xdf.read(path))
    if not rows:
        return []
    lines = [row.sentence for row in rows]
    return [
        *lines,
        "Intervals hold self-reports, which scatter about the true value: true values "
        "lie inside more often.",
        "Dominance follows from the conditions: its own effect on the simulated "
        "signals is weak.",
    ]


def truth_agreement(recording: "Recording") -> list[TruthAgreement]:
    """Return the agreement of estimates with true values after the baseline.

    Parameters
    ----------
    recording
        Recording with the streams ``estimates`` and ``<device>.truth``; without them,
        or if it is too short, the result is empty. The baseline has the length of its
        settings, in a recording without settings that of the first condition.
    """
    import numpy as np

    from physio.core.affect import DIMENSIONS
    from physio.core.json_table import stored_config
    from physio.core.recording import computed

    streams = recording.streams.items()
    given = next((b for n, b in streams if computed(n) == "estimates"), ())
    known = next((b for n, b in streams if n.endswith(".truth")), ())
    estimates, truth = ([b for b in s if len(b)] for s in (given, known))
    if not estimates or not truth:
        return []
    times = np.concatenate([b.times for b in estimates])
    table = stored_config(recording.metadata).get("estimator", {})
    stated = table.get("baseline_seconds")
    baseline = stated if stated else recording.seconds / len(CONDITIONS)
    after = times >= recording.begin + float(baseline)
    true_times = np.concatenate([b.times for b in truth])
    rows = []
    for name in DIMENSIONS:
        mean, width = (
            _column(estimates, column)[after] for column in (name, f"{name}.ci{_LEVEL}")
        )
        true = np.interp(times[after], true_times, _column(truth, name))
        good = np.isfinite(mean) & np.isfinite(width)
        if good.sum() < 2:
            rows.append(TruthAgreement(name, np.nan, np.nan))
            continue
        inside = float((np.abs(mean - true) <= width)[good].mean())
        r = float(np.corrcoef(mean[good], true[good])[0, 1])
        rows.append(TruthAgreement(name, inside, r))
    return rows


def _column(blocks: "Sequence[Block]", name: str) -> "Array":
    """Return the values of a channel; NaN where the stream has no such channel."""
    import numpy as np

    names = blocks[0].info.names
    if name not in names:
        return np.full(sum(map(len, blocks)), np.nan)
    return np.concatenate([b.data[:, names.index(name)] for b in blocks])
