"""A trained ONNX file as a learner: it is tried and measured, and not trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from physio.inference.stored_graph import StoredGraph, StoredGraphConfig
from physio.training.learner import (
    Progress,
    ProgressOf,
    Samples,
    error_of,
    outputs,
    residual_sd,
)


@dataclass(frozen=True)
class OnnxLearner:
    """Any ONNX file as a model; the samples only give the errors of its ratings.

    Parameters
    ----------
    path
        The file.
    scale
        Meaning of its outputs: ``values`` (ratings on [-1, 1]), ``probabilities`` or
        ``logits`` of the classes.
    output
        Name of the output that is read; by default the only one, or the last.
    inputs
        Name, first column and last column + 1 of each input, where there are several.
    rate
        Samples a second of the windows that it reads (Hz); 0: any.
    passes_missing
        Whether it takes NaN for a missing feature; otherwise it counts as 0.
    """

    files: ClassVar[tuple[str, ...]] = ("path",)

    path: str
    scale: Literal["values", "probabilities", "logits"] = "values"
    output: str = ""
    inputs: tuple[tuple[str, int, int], ...] = ()
    rate: float = 0.0
    passes_missing: bool = False

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        return (
            f"The {len(samples)} moments do not train the file; they only measure its "
            "errors."
        )

    def fit(self, samples: Samples, progress: ProgressOf) -> StoredGraph:
        """Return the model: see `physio.training.learner.Learner`.

        Raises
        ------
        ValueError
            If the file is no graph, or does not fit the samples.
        """
        path, windows = Path(self.path), samples.x.ndim == 3
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        if windows and self.rate and self.rate != samples.rate:
            raise ValueError(
                f"{path.name} reads windows at {self.rate:g} Hz, not at "
                f"{samples.rate:g}: resample the windows"
            )
        if bool(samples.classes) != (self.scale != "values"):
            needed = "probabilities or logits" if samples.classes else "values"
            raise ValueError(
                f"{path.name} gives {self.scale}, and the target needs {needed}"
            )
        config = StoredGraphConfig(
            samples.x.shape[1],
            samples.targets,
            samples.classes,
            output=self.output,
            scale=self.scale,
            inputs=tuple((name, a, b) for name, a, b in self.inputs),
            passes_missing=self.passes_missing,
            channels=tuple(c for c, _ in samples.columns) if windows else (),
            rate=samples.rate if windows else 0.0,
            samples=samples.x.shape[2] if windows else 0,
        )
        graph = np.frombuffer(path.read_bytes(), np.uint8)
        model = StoredGraph(config, graph, np.ones(len(samples.targets)))
        try:
            mean, sd = outputs(model, samples)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None
        every = np.arange(len(samples))
        progress(Progress(1, 1, error_of(samples, mean, every), "error"))
        if samples.classes or not np.array_equal(sd, np.ones_like(sd)):
            return model  # a graph with standard deviations of its own
        return StoredGraph(config, graph, residual_sd(samples, mean))
