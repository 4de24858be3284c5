"""Ablations of RBTransformer by protocol, with fair controls: see the README."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from experiments.eeg_protocols.by_protocol import LOGISTIC, ProtocolTable, retained
from experiments.eeg_protocols.windows import LABORATORIES, published_windows
from experiments.literature.judgement import Scores, with_judgements
from physio import config
from physio.evaluation import statistics
from physio.evaluation.figures import Figures
from physio.evaluation.splits import protocol
from physio.training.rbtransformer import RBTransformerClassifier

FOLDER: Final = Path(__file__).parent
FULL: Final = "full"
"""Name of the network without an ablation."""

SEED: Final = 23
"""Seed of dropped windows and of the bootstrap, as in `ProtocolTable`."""

METRIC: Final = "AUC"
_STORED_NAMES: Final = {"RBTransformer": FULL, LOGISTIC: LOGISTIC}


@dataclass(frozen=True)
class Split:
    """A protocol on some laboratories.

    Parameters
    ----------
    data
        Names of laboratories.
    protocol, settings
        Name and settings: see `physio.evaluation.splits.PROTOCOLS`.
    networks
        Names of the networks; all by default.
    once
        Names of the networks that are trained with the first seed alone.
    seeds
        Seeds of the networks.
    folds
        Number of folds that are used, from the first; 0 for all.
    stored
        File of results in this folder that has the full network and logistic
        regression by the same protocol on the same windows; none by default.
    """

    data: tuple[str, ...]
    protocol: str
    settings: Mapping[str, Any]
    networks: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (SEED,)
    folds: int = 0
    stored: str = ""

    def __post_init__(self) -> None:
        if unknown := [d for d in self.data if d not in LABORATORIES]:
            raise ValueError(
                f"a split names the laboratory {unknown[0]!r}; there are "
                f"{', '.join(LABORATORIES)}"
            )
        protocol(self.protocol, **self.settings)


@dataclass(frozen=True)
class Ablations:
    """Networks by several protocols, on the windows of `ProtocolTable`.

    Parameters
    ----------
    networks
        The networks by name; each is compared with the first, paired by participant.
    splits
        The splits by name.
    judged
        Name of the split whose seeds judge the row of the literature; none by default.
    drop_fraction
        Proportion of windows that are dropped at random at the beginning.
    """

    networks: Mapping[str, RBTransformerClassifier]
    splits: Mapping[str, Split]
    judged: str = ""
    drop_fraction: float = 0.1

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            unknown = [
                n for n in (*split.networks, *split.once) if n not in self.networks
            ]
            if unknown:
                raise ValueError(f"{name!r} names no network: {unknown[0]!r}")
        if self.judged and self.judged not in self.splits:
            raise ValueError(f"there is no split {self.judged!r} to judge by")

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:  # noqa: ARG002
        """Train each network in each fold; return scores by participant.

        Parameters
        ----------
        root
            The folder with ``eegmat`` and ``sam40``.
        table
            Unused: windows are made from recordings.
        """
        begin = time.monotonic()
        used = dict.fromkeys(d for s in self.splits.values() for d in s.data)
        windows = published_windows(root, tuple(used))
        windows = windows[retained(windows["dataset"], self.drop_fraction, SEED)]
        parts, scores = {}, {}
        for name, split in self.splits.items():
            rows = windows[windows["dataset"].isin(split.data)].reset_index(drop=True)
            parts[name], scores[name] = self.part(rows, split)
            means = {r["model"]: r["mean"] for r in parts[name]["rows"]}
            print(name, means, f"{time.process_time():.0f} s", flush=True)
        result = Figures(
            "eegmat and SAM 40",
            "several",
            tuple(
                {**row, "metric": f"{row['metric']}, {name}"}
                for name, part in parts.items()
                for row in part["rows"]
            ),
            details={"splits": parts},
            config=config.describe(self),
            seconds=time.monotonic() - begin,
        )
        if not self.judged:
            return result
        return with_judgements(result, FOLDER, real=scores[self.judged])

    def part(self, table: pd.DataFrame, split: Split) -> tuple[dict[str, Any], Scores]:
        """Return the figures of a split, and its scores by seed.

        Parameters
        ----------
        table
            Windows of its laboratories.
        split
            The split.

        Returns
        -------
        part
            ``rows``, means over the seeds of a network; ``paired`` and
            ``paired_first_seed``: see `differences`;
            ``seeds``, the mean score of each seed; ``about``, its folds and windows.
        scores
            Score by seed, network and participant.
        """
        scores: dict[int, dict[str, dict[str, float]]] = {}
        about: dict[str, Any] = {}
        for k, seed in enumerate(split.seeds):
            names = list(split.networks or self.networks)
            names = [n for n in names if k == 0 or n not in split.once]
            by_network, about = self._scores(table, split, names, seed)
            scores[seed] = by_network
        if split.stored:
            known = stored_scores(FOLDER / "results" / split.stored, split)
            scores[split.seeds[0]] = {**known, **scores[split.seeds[0]]}
        names = list(scores[split.seeds[0]])
        rows = _rows(scores)
        seeds = {
            name: [
                round(sum(s[name].values()) / len(s[name]), 4)
                for s in scores.values()
                if name in s
            ]
            for name in names
        }
        part = {"rows": rows, "seeds": seeds, "about": about}
        return {**part, **differences(scores, next(iter(self.networks)))}, scores

    def _scores(
        self, table: pd.DataFrame, split: Split, names: list[str], seed: int
    ) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
        chosen = {name: self.networks[name] for name in names}
        settings = {"data": split.data, "protocol": split.protocol}
        run = ProtocolTable(
            chosen,
            {"": {**settings, "settings": split.settings}},
            controls=False,
            seed=seed,
            metrics=(METRIC,),
        )
        part = run.scores(table, run.splits[""], split.folds)
        by_network = {r["model"]: r["per_participant"] for r in part["rows"]}
        return by_network, part["about"]


def differences(scores: Scores, reference: str) -> dict[str, Any]:
    """Return paired differences between a network and the others.

    ``paired`` compares means over all seeds, of networks that have them all;
    ``paired_first_seed`` compares all networks with the first seed alone.
    """
    seeds = list(scores)
    names = [n for n in scores[seeds[0]] if all(n in s for s in scores.values())]
    every = {k: {n: s[n] for n in names} for k, s in scores.items()}
    first = {seeds[0]: scores[seeds[0]]}
    if reference not in names:
        return {"paired": [], "paired_first_seed": []}
    return {
        "paired": statistics.paired_differences(_rows(every), reference, SEED),
        "paired_first_seed": statistics.paired_differences(
            _rows(first), reference, SEED
        ),
    }


def _rows(scores: Scores) -> list[dict[str, Any]]:
    """Return the mean over seeds of each network, as rows of results."""
    return [
        statistics.summary(name, METRIC, _mean(scores, name), SEED)
        for name in next(iter(scores.values()))
    ]


def _mean(scores: Scores, name: str) -> dict[str, float]:
    """Return the mean over seeds of the score of each participant."""
    parts = [s[name] for s in scores.values() if name in s]
    return {p: sum(part[p] for part in parts) / len(parts) for p in parts[0]}


def stored_scores(path: Path, split: Split) -> dict[str, dict[str, float]]:
    """Return the scores of a stored run by the protocol of a split.

    Raises
    ------
    ValueError
        If the file has no such split.
    """
    results = json.loads(path.read_text("utf-8"))
    for name, settings in results["config"]["splits"].items():
        same = (
            tuple(settings["data"]) == split.data
            and settings["protocol"] == split.protocol
            and dict(settings.get("settings", {})) == dict(split.settings)
        )
        if same:
            return {
                _STORED_NAMES[r["model"]]: r["per_participant"]
                for r in results["splits"][name]["rows"]
                if r["model"] in _STORED_NAMES and r["metric"] == METRIC
            }
    raise ValueError(
        f"{path} has no split of {', '.join(split.data)} by {split.protocol}: run its "
        "configuration first"
    )
