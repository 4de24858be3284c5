"""What smoothing adds on simulated people never seen; the smoother's constants."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from physio import config
from physio.core.block import Array, Block, Channel, Info
from physio.core.stage import Flow, Stage
from physio.models.fusion import fuse, nearest
from physio.models.gaussian import DIMENSIONS
from physio.models.rest import Rest
from physio.models.weights import load
from physio.train import lasting
from physio.train.affect import Affect
from physio.train.crowd import Crowd, Simulant
from physio.train.fit import centred
from physio.train.people import row
from physio.train.unseen import DEVICES, SMOOTHER, ratio, skill, subsets


@dataclass(frozen=True)
class Smoothed:
    """How the smoother's constants are learned and judged, the experts as they are.

    Parameters
    ----------
    affect
        The training run of the experts, whose weights are in the package.
    taught
        How many training people the constants are learned from, left out of the fit.
    fewer
        How many people are judged with devices off.
    seed
        Of the bootstrap.
    """

    affect: Affect
    taught: int = 200
    fewer: int = 60
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Judge; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = Crowd(a.devices, a.chains, a.seconds, 0.0, root)
        names = list(a.experts)
        prior = tuple(load(names[0]).arrays[f"prior.{k}"] for k in ("mean", "sd"))
        people = [crowd.person(a.first + i) for i in range(self.taught)]
        said = {n: a.expert(people, a.experts[n]).said for n in names}
        felt = [a.rated(p)[1] for p in people]
        constants = lasting.constants(
            felt, said, (prior[0], prior[1]), a.rater, a.every
        )
        stage: Stage = config.build({"use": SMOOTHER, **constants}, "smoother")
        rows: list[dict[str, Any]] = []
        each: dict[str, Any] = {}
        table: dict[str, Any] = {}
        for off in subsets():
            n = self.fewer if off else a.tested
            tested = [crowd.person(a.first_tested + i) for i in range(n)]
            here = " + ".join(d for d in DEVICES if d not in off)
            told = [self._told(p, off, stage, prior) for p in tested]
            table[here] = self._skills(told, prior[0])
            if not off:
                rows, each = self._rows(tested, told, prior)
        return {
            "dataset": "simulated people, effects as published",
            "protocol": f"{a.tested} people never seen; {self.fewer} with devices off",
            "smoother": constants,
            "rows": rows,
            "errors_each": each,
            "subsets": table,
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy")},
            "seconds": round(time.monotonic() - began, 1),
            "table": "\n".join(
                f"{r['model']:9}  {r['metric']:28}  {r['mean']:7.4f}  "
                f"({r['low']:.4f} to {r['high']:.4f})"
                for r in rows
            ),
        }

    def _told(
        self, person: Simulant, off: Sequence[str], stage: Stage, prior: Any
    ) -> dict[str, Array]:
        """Return what is felt, and what experts say together, plain and smoothed."""
        a, names = self.affect, list(self.affect.experts)
        hidden = {c for device in off for c in DEVICES[device]}
        said = []
        for name in names:
            stored = load(name)
            made = a.moments(person, stored.card.columns)
            z, extra = centred(made, Rest.restore(stored.part("rest")))
            gone = [c.partition(".")[0] in hidden for c, _ in stored.card.columns]
            z = np.where(gone, np.nan, z)
            model = stored.model()
            said.append(np.array([np.stack(model.predict(r, extra)) for r in z]))
        each = np.stack(said, axis=1)  # (n, experts, 2, 3)
        zero = [np.tile(p, (len(names), 1)) for p in prior]
        errors = np.stack([nearest(e) for e in lasting.known(names)])
        made_of = [fuse(e[:, 0], e[:, 1], zero[0], zero[1], errors) for e in each]
        plain = np.array([[m.mean, m.sd] for m in made_of])
        columns = [plain, *(each[:, k] for k in range(len(names)))]
        data = np.hstack([c.transpose(0, 2, 1).reshape(len(c), 6) for c in columns])
        fronts = ["", *(f"{n}." for n in names)]
        info = Info(
            "estimates",
            Fraction(1, round(a.every)),
            tuple(
                Channel(f"{f}{d}{end}")
                for f in fronts
                for d in DIMENSIONS
                for end in ("", ".sd")
            ),
        )
        block = Block(info, 0, 0.0, np.ascontiguousarray(data))
        smooth = Flow(stage, info).push(block).data.reshape(-1, 3, 2)
        later = slice(round(a.rest / a.every), None)  # from 120 s on
        rated, felt = a.rated(person)
        return {
            "felt": felt[later],
            "rated": rated[later],
            "fused": plain[later, 0],
            "fused.sd": plain[later, 1],
            "smoothed": smooth[later, :, 0],
            "smoothed.sd": smooth[later, :, 1],
        }

    def _skills(self, told: Sequence[Mapping[str, Array]], prior: Array) -> Any:
        """Return each way's skill, and what smoothing adds, in each dimension."""
        found: dict[str, Any] = {}
        sums = {
            way: np.array([skill(t[way], t["felt"], prior) for t in told])
            for way in ("fused", "smoothed")
        }
        for way, s in sums.items():
            found[way] = [ratio(s[:, :, d], self.seed) for d in range(3)]
        both = np.stack([sums["smoothed"][:, 0], sums["fused"][:, 0]], axis=1)
        base = sums["fused"][:, 1]
        rng = np.random.default_rng(self.seed)
        picked = rng.integers(len(told), size=(2000, len(told)))
        gains = (both[:, 1] - both[:, 0])[picked].sum(1) / base[picked].sum(1)
        low, high = np.percentile(gains, [2.5, 97.5], axis=0)
        mean = (both[:, 1] - both[:, 0]).sum(0) / base.sum(0)
        found["smoothed less fused"] = [
            {"mean": round(m, 4), "low": round(a, 4), "high": round(b, 4)}
            for m, a, b in zip(mean.tolist(), low.tolist(), high.tolist(), strict=True)
        ]
        return found

    def _rows(
        self,
        people: Sequence[Simulant],
        told: Sequence[Mapping[str, Array]],
        prior: Any,
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        rows, each = [], {}
        for way in ("fused", "smoothed"):
            errors = [skill(t[way], t["felt"], prior[0]) for t in told]
            each[way] = {
                str(p.seed): np.round(np.array(e) / len(t["felt"]), 5).tolist()
                for p, e, t in zip(people, errors, told, strict=True)
            }
            for d, name in enumerate(DIMENSIONS):
                own = np.array(errors)[:, :, d]
                rows.append(
                    {"model": way, "metric": f"{name} skill", **ratio(own, self.seed)}
                )
                corr = {
                    str(p.seed): _correlation(t[way][:, d], t["felt"][:, d])
                    for p, t in zip(people, told, strict=True)
                }
                one = row(way, f"{name} correlation", corr, self.seed)
                rows.append({k: v for k, v in one.items() if k != "per_person"})
                for level, width in ((50, 0.67449), (80, 1.28155), (95, 1.95996)):
                    held = {
                        str(p.seed): float(
                            np.mean(
                                np.abs(t["rated"] - t[way])[:, d]
                                <= width * t[f"{way}.sd"][:, d]
                            )
                        )
                        for p, t in zip(people, told, strict=True)
                    }
                    one = row(way, f"{name} coverage of {level}%", held, self.seed)
                    rows.append({k: v for k, v in one.items() if k != "per_person"})
        return rows, each


def _correlation(a: Array, b: Array) -> float:
    here = np.isfinite(a)
    if here.sum() < 3 or np.std(a[here]) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a[here], b[here])[0, 1])
