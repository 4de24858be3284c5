"""Reasons of shipped weights, checked on real wrists and on simulated truth."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.people import recipe, tested
from experiments.literature.wrist_rows import stress_task, wrist_table
from experiments.reasons import deletion, pointing
from experiments.reasons.deletion import AROUSAL, ExplainedMoment, explained, gaussian
from experiments.reasons.driven_sensors import DRIVEN, RestingParticipant
from experiments.reasons.pointing import DrivenEvent, FeatureScale, hit_rates
from physio import config
from physio.core.block import Array
from physio.evaluation import metrics
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import paired_differences, summary
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.training.gaussian import centred

_FOLDER: Final = Path(__file__).parent
_WRIST: Final = {
    "eda.log_slope": "raw",
    "eda.activity": "log",
    "heart.certain": "raw",
}
_LABS: Final = ("EmoPairCompete", "Non-EEG")


@dataclass(frozen=True)
class ReasonsCheck:
    """Deletion and insertion curves, and events of one driven sensor.

    Parameters
    ----------
    estimators
        Weights of each estimator of the simulated events.
    judged
        Estimator of the judged comparison.
    moved
        Smallest effect of an event on the estimate for it to need a reason.
    people
        Number of participants with events, and of those with deletion curves.
    first
        Seed of the first participant with events.
    seed
        Seed of the bootstrap.
    """

    estimators: Mapping[str, tuple[str, ...]]
    judged: str = "fused experts"
    moved: float = 0.1
    people: tuple[int, int] = (16, 40)
    first: int = 60_000
    seed: int = 23

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate the reasons of `wrist` and of the simulated estimators."""
        began = time.monotonic()
        primary = Primary.read(_FOLDER / FILE)
        windows = wrist_table(root, table)
        wrists = {lab: self.wrist_moments(windows, lab) for lab in _LABS}
        areas = {lab: _areas(people) for lab, people in wrists.items()}
        areas["simulated"] = _areas(dict(self.simulated_moments()))
        rows = [
            summary(f"{lab}: {order}", "deletion less insertion", by_person, self.seed)
            for lab, by_order in areas.items()
            for order, by_person in by_order.items()
        ]
        events = self.events()
        rows += self._event_rows(events)
        emopair = areas["EmoPairCompete"]
        deciding = [e for e in events[self.judged] if abs(e.effect) >= self.moved]
        result = Figures(
            dataset="EmoPairCompete, Non-EEG, simulated participants",
            protocol="shipped weights, none of whose training data are tested",
            rows=tuple(rows),
            paired=tuple(self._paired(rows)),
            notes=tuple(self._notes(wrists)),
            details={"by kind": self._by_kind(events)},
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        simulated = {
            seed: {rule: hit_rates(deciding, rule, seed) for rule in pointing.RULES}
            for seed in primary.seeds
        }
        # Nothing is trained: on real rows each seed gives the same areas.
        real = dict.fromkeys(primary.seeds, emopair)
        return with_judgements(result, _FOLDER, real=real, simulated=simulated)

    def wrist_moments(
        self, table: pd.DataFrame, laboratory: str
    ) -> dict[str, list[tuple[int, ExplainedMoment]]]:
        """Return label and moment of each window, by participant of a laboratory."""
        task = stress_task(table, _WRIST)
        used = np.asarray(task.included) & (task.table["dataset"] == laboratory)
        rows = task.table[used]
        model = gaussian("wrist")
        prior = float(model.prior[0][AROUSAL])
        scale = np.sqrt(np.diag(model.cov)[: len(_WRIST)])
        index = np.arange(len(_WRIST))
        people: dict[str, list[tuple[int, ExplainedMoment]]] = {}
        for _, row in rows.iterrows():
            z = row[list(_WRIST)].to_numpy(np.float64)
            if np.isfinite(z).any():
                moment = explained(model, z, index, scale, prior)
                name = f"{laboratory} {row['subject']}"
                people.setdefault(name, []).append((int(row["stressed"]), moment))
        return people

    def simulated_moments(
        self,
    ) -> list[tuple[str, list[tuple[int, ExplainedMoment]]]]:
        """Return moments of simulated participants, of the joint Gaussian."""
        affect = recipe().affect
        weights = model_card.load("published-all")
        model, rest = (
            gaussian("published-all"),
            BaselinePrior.restore(weights.part("rest")),
        )
        prior = float(model.prior[0][AROUSAL])
        columns = affect.joint
        chains = [name.partition(".")[0] for name, _ in columns]
        order = list(dict.fromkeys(chains))
        index = np.array([order.index(c) for c in chains])
        scale = np.sqrt(np.diag(model.cov)[: len(columns)])
        out = []
        for person in tested(self.people[1]):
            z = centred(affect.moments(person, columns), rest)[0][::6]
            some = [row for row in z if np.isfinite(row).any()]
            moments = [(0, explained(model, r, index, scale, prior)) for r in some]
            out.append((str(person.seed), moments))
        return out

    def events(self) -> dict[str, list[DrivenEvent]]:
        """Return the events of all participants, by estimator."""
        scale = FeatureScale.of_training()
        out: dict[str, list[DrivenEvent]] = {name: [] for name in self.estimators}
        for k in range(self.people[0]):
            person = RestingParticipant(self.first + k)
            by_estimator = pointing.driven_events(person, self.estimators, scale)
            for name, events in by_estimator.items():
                out[name] += events
        return out

    def _event_rows(
        self, events: Mapping[str, Sequence[DrivenEvent]]
    ) -> list[dict[str, Any]]:
        rows = []
        for name, some in events.items():
            moved = [e for e in some if abs(e.effect) >= self.moved]
            for metric, chosen in (
                ("events that moved the estimate", moved),
                ("all events", list(some)),
            ):
                rows += [
                    summary(
                        f"{name}: {rule}", metric, hit_rates(chosen, rule), self.seed
                    )
                    for rule in pointing.RULES
                ]
        return rows

    def _by_kind(self, events: Mapping[str, Sequence[DrivenEvent]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, some in events.items():
            for kind in DRIVEN:
                mine = [e for e in some if e.kind == kind]
                moved = [e for e in mine if abs(e.effect) >= self.moved]
                out.setdefault(name, {})[kind] = {
                    "events": len(mine),
                    "moved": len(moved),
                    "effect": round(float(np.mean([abs(e.effect) for e in mine])), 3),
                    **{
                        f"{rule}, {label}": _share(chosen, rule)
                        for rule in pointing.RULES
                        for label, chosen in (("moved", moved), ("all", mine))
                    },
                }
        return out

    def _paired(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        out = []
        for lab in (*_LABS, "simulated"):
            front = f"{lab}: "
            mine = [
                {**r, "model": r["model"].removeprefix(front)}
                for r in rows
                if r["model"].startswith(front)
            ]
            differences = paired_differences(mine, deletion.REASONS, self.seed)
            out += [{**row, "dataset": lab} for row in differences]
        return out

    def _notes(
        self,
        wrists: Mapping[str, Mapping[str, Sequence[tuple[int, ExplainedMoment]]]],
    ) -> list[str]:
        """Return the AUC of stress as sensors are deleted, a sentence each."""
        lines = []
        for lab, people in wrists.items():
            for order in (deletion.REASONS, deletion.LARGEST, deletion.REVERSE):
                curve = [
                    np.nanmean([_auc(m, order, k) for m in people.values()])
                    for k in range(len(_WRIST) + 1)
                ]
                text = ", ".join(f"{v:.3f}" for v in curve)
                lines.append(
                    f"{lab}: AUC of stress with 0 to {len(_WRIST)} features deleted "
                    f"in the order '{order}': {text} (exploratory)."
                )
        return lines


def _areas(
    people: Mapping[str, Sequence[tuple[int, ExplainedMoment]]],
) -> dict[str, dict[str, float]]:
    by_person = {
        name: deletion.relative_areas([m for _, m in moments])
        for name, moments in people.items()
    }
    return {
        order: {name: areas[order] for name, areas in by_person.items()}
        for order in deletion.ORDERS
    }


def _auc(
    moments: Sequence[tuple[int, ExplainedMoment]], order: str, deleted: int
) -> float:
    y = np.array([label for label, _ in moments])
    if len(np.unique(y)) < 2:
        return float("nan")
    x: Array = np.array(
        [m.values.after_adding(m.orders[order][::-1])[-1 - deleted] for _, m in moments]
    )
    return float(metrics.auc(y, np.stack([-x, x], axis=1)))


def _share(events: Sequence[DrivenEvent], rule: str) -> float | None:
    if not events:
        return None
    return round(float(np.mean([e.hits[rule] for e in events])), 3)
