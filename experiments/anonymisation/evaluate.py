"""Identification of people in anonymised signals, and the emotion that remains."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.anonymisation import people, recordings
from experiments.anonymisation.attackers import ATTACKERS, error_rates, strongest
from experiments.anonymisation.recordings import Session, Windowed
from experiments.cross_laboratory.models import ChangeRegression
from experiments.literature.judgement import Primary, with_judgements
from experiments.literature.wrist_rows import stress_task, wrist_table
from physio import config
from physio.evaluation.evaluate import EvaluationOptions, evaluate
from physio.evaluation.figures import Figures
from physio.evaluation.splits import LeaveLaboratoryOut
from physio.evaluation.statistics import summary

_FOLDER: Final = Path(__file__).parent
_ERROR: Final = "identification error"
_FEATURES: Final = ("slope", "activity", "rate")
_EEG_WINDOW: Final = 4  # s
_CHANCE: Final = {
    "exams": 6 / 7,
    "eegmat": 23 / 24,
    "pulse waves": 11 / 12,
    "simulated": 19 / 20,
}
_SEED: Final = 23
_LOAD: Final = "AUC of arithmetic, eegmat"
_STRESS: Final = "AUC of stress, EmoPairCompete"
_LOSS: Final = "full strength less original"

Rates = dict[str, Mapping[str, float]]


@dataclass(frozen=True)
class Anonymisation:
    """Attackers and classifiers on signals of several strengths.

    Parameters
    ----------
    strengths
        Strengths of anonymisation; the first is 0, the original, and the last 1.
    """

    strengths: tuple[float, ...] = (0.0, 0.5, 1.0)

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate on the real data in ``root``, and on simulated people."""
        if root is None:
            raise ValueError("anonymisation reads exam_stress, eegmat and the wrist "
                             "laboratories: give their folder with --data")  # fmt: skip
        began = time.monotonic()
        seeds = Primary.read(_FOLDER / "primary.toml").seeds
        rows: list[dict[str, Any]] = []
        exams = recordings.exams(root)
        real = self._identified(exams, 60, "exam left out", seeds, rows)
        truth = {s: people.simulated(20, s) for s in seeds}
        scores = {
            s: self._identified(truth[s], 60, f"simulated, seed {s}", (s,), rows)[s]
            for s in seeds
        }
        head = recordings.eeg(root)
        self._identified(
            head, _EEG_WINDOW, "eegmat, other condition (upper bound)", seeds, rows
        )
        waves = recordings.pulses(root)
        for strength in self.strengths:
            beats = recordings.pulse_windows(waves, strength, 60)
            rates = _session_errors(beats, _SEED)
            rows += _attacks(rates, "pulse waves of WESAD, other half", strength)
        rows += self._load(head)
        rows += self._stress(root, table)
        rows += self._felt(truth[seeds[0]])
        errors = np.mean(
            [np.mean(list(v["full strength"].values())) for v in real.values()]
        )
        losses = {r["metric"]: r["low"] for r in rows if r["model"] == _LOSS}
        conditions = {
            "error of the strongest attacker at nine tenths of chance": bool(
                errors >= 0.9 * _CHANCE["exams"]
            ),
            **{
                f"interval of the loss of {metric} above -0.05": losses[metric] > -0.05
                for metric in (_LOAD, _STRESS)
            },
        }
        result = Figures(
            "exam stress, eegmat, four wrist laboratories, simulated people",
            "attacker trained on other sessions with the same strength",
            tuple(rows),
            details={
                "chance": {"exams": 6 / 7, "eegmat": 23 / 24, "simulated": 19 / 20}
            },
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(
            result, _FOLDER, real=real, simulated=scores, conditions=conditions
        )

    def _identified(
        self,
        sessions: Mapping[tuple[str, str], Session],
        seconds: int,
        name: str,
        seeds: Sequence[int],
        rows: list[dict[str, Any]],
    ) -> dict[int, dict[str, Mapping[str, float]]]:
        """Return the error of the strongest attacker by seed and strength; add rows."""
        scores: dict[int, dict[str, Mapping[str, float]]] = {s: {} for s in seeds}
        for strength in self.strengths:
            moved = recordings.anonymised(sessions, strength)
            windows = recordings.windowed(moved, seconds, recordings.WINDOWS)
            for seed in seeds:
                rates = _session_errors(windows, seed)
                scores[seed][_label(strength)] = strongest(rates)
            rows += _attacks(rates, name, strength)
        return scores

    def _load(self, head: Mapping[tuple[str, str], Session]) -> list[dict[str, Any]]:
        """Return the AUC of arithmetic against rest, participants left out."""
        rows = []
        for strength in self.strengths:
            moved = recordings.anonymised(head, strength)
            w = recordings.windowed(moved, _EEG_WINDOW, recordings.WINDOWS)
            y = w.sessions == "arithmetic"
            changed = w.x.copy()
            for person in np.unique(w.people):
                mine = w.people == person
                changed[mine] -= w.x[np.flatnonzero(mine & ~y)[:5]].mean(axis=0)
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)
            )
            scores = {}
            for person in np.unique(w.people):
                mine = w.people == person
                model.fit(changed[~mine], y[~mine])
                tested = np.flatnonzero(mine)
                tested = np.setdiff1d(tested, np.flatnonzero(mine & ~y)[:5])
                p = model.predict_proba(changed[tested])[:, 1]
                scores[str(person)] = float(roc_auc_score(y[tested], p))
            rows.append(summary(_label(strength), _LOAD, scores, _SEED))
        return [*rows, _loss(rows)]

    def _stress(self, root: Path, table: pd.DataFrame | None) -> list[dict[str, Any]]:
        """Return the AUC of stress in EmoPairCompete, which did not train."""
        whole = wrist_table(root, table).reset_index(drop=True)
        bands = recordings.wristbands(root)
        places = [
            whole[c].tolist()
            for c in ("dataset", "subject", "session", "trial", "start_s")
        ]
        models = {}
        for strength in self.strengths:
            parts = {
                name: recordings.anonymised(p, strength) for name, p in bands.items()
            }
            values = np.array(
                [
                    recordings.minute(parts[lab][str(person), f"{session}/{trial}"], at)
                    for lab, person, session, trial, at in zip(*places, strict=True)
                ]
            )
            columns = [f"{f} {_label(strength)}" for f in _FEATURES]
            whole = whole.assign(**dict(zip(columns, values.T, strict=True)))
            models[_label(strength)] = ChangeRegression(tuple(columns))
        names = [f"{f} {_label(s)}" for s in self.strengths for f in _FEATURES]
        task = stress_task(whole, dict.fromkeys(names, "raw"))
        options = EvaluationOptions(("AUC",), time_only=False)
        evaluation = evaluate(task, LeaveLaboratoryOut(), models, options)
        rows = []
        for name in models:
            scores = evaluation.figure(name, "AUC")["per_participant"]
            tested = {p: v for p, v in scores.items() if p.startswith("EmoPair")}
            rows.append(summary(name, _STRESS, tested, _SEED))
        return [*rows, _loss(rows)]

    def _felt(self, truth: Mapping[tuple[str, str], Session]) -> list[dict[str, Any]]:
        """Return the AUC of simulated emotion by the deviation of a minute."""
        rows = []
        for strength in self.strengths:
            scores = {}
            for (person, session), part in recordings.anonymised(
                truth, strength
            ).items():
                x = part["signal"].x.reshape(-1, 60 * people.RATE)
                y = people.emotional(x.size).reshape(x.shape)[:, 0]
                scores[f"{person} {session}"] = float(roc_auc_score(y, x.std(axis=1)))
            rows.append(
                summary(_label(strength), "AUC of simulated emotion", scores, _SEED)
            )
        return [*rows, _loss(rows)]


def _session_errors(windows: Windowed, seed: int) -> Rates:
    """Return each attacker's error rates, each session left out once, by person."""
    by_attacker: dict[str, list[Mapping[str, float]]] = {a: [] for a in ATTACKERS}
    for session in np.unique(windows.sessions):
        test = windows.sessions == session
        rates = error_rates(
            (windows.x[~test], windows.people[~test]),
            (windows.x[test], windows.people[test]),
            seed,
        )
        for attacker, rate in rates.items():
            by_attacker[attacker].append(rate)
    return {
        a: {p: float(np.mean([r[p] for r in rs])) for p in rs[0]}
        for a, rs in by_attacker.items()
    }


def _attacks(rates: Rates, name: str, strength: float) -> list[dict[str, Any]]:
    metric = f"{_ERROR}, {name}"
    return [
        summary(f"{a}, {_label(strength)}", metric, rates[a], _SEED) for a in ATTACKERS
    ]


def _label(strength: float) -> str:
    return {0.0: "original", 1.0: "full strength"}.get(
        strength, f"strength {strength:g}"
    )


def _loss(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the difference of full strength and original, by participant."""
    by = {r["model"]: r["per_participant"] for r in rows}
    full, plain = by["full strength"], by["original"]
    off = {
        p: full[p] - plain[p]
        for p in full
        if full[p] is not None and plain[p] is not None
    }
    return summary(_LOSS, rows[0]["metric"], off, _SEED)
