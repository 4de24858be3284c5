"""Published rules for artifacts in skin conductance, from their descriptions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from experiments.eda_artifacts.recordings import RATE
from physio.core.block import Array

Mask = npt.NDArray[np.bool_]
EPOCH = 5 * RATE


def kleckner(y: Array) -> Mask:
    """Return values outside 0.05 to 60 uS or faster than 10 uS/s, and 5 s around them.

    Kleckner et al. 2018, without the rule on temperature.
    """
    change = np.abs(np.diff(y, prepend=y[0])) * RATE
    bad = (y < 0.05) | (y > 60) | (change > 10)
    return np.convolve(bad, np.ones(2 * EPOCH + 1), "same") > 0


def kocielnik(y: Array) -> Mask:
    """Return rises of 20 % and falls of 10 % within a second, 5 s around.

    Limits of Kocielnik et al. 2013, as in `EdaStability`; the 5 s are ours.
    """
    change = np.zeros(len(y))
    change[RATE:] = (y[RATE:] - y[:-RATE]) / np.maximum(y[:-RATE], 0.05)
    bad = (change > 0.2) | (change < -0.1)
    return np.convolve(bad, np.ones(EPOCH + 1), "same") > 0


def features(epoch: Array) -> Array:
    """Return the features of an epoch of 5 s (Taylor et al. 2015; EDA Explorer).

    Mean amplitude, greatest and mean absolute first and second derivative, of the
    signal and below 1 Hz; greatest, mean, spread, median and number above 0 of Haar
    wavelet coefficients at three scales.
    """
    low = sosfiltfilt(butter(2, 1.0, fs=RATE, output="sos"), epoch, padlen=9)
    row = []
    for x in (epoch, low):
        row.append(x.mean())
        for order in (1, 2):
            change = np.abs(np.diff(x, order))
            row += [change.max(), change.mean()]
    x = epoch[: len(epoch) // 8 * 8]
    for _ in range(3):
        detail, x = (x[::2] - x[1::2]) / np.sqrt(2), (x[::2] + x[1::2]) / np.sqrt(2)
        size = np.abs(detail)
        row += [size.max(), size.mean(), detail.std(), np.median(size)]
        row.append(float((detail > 0).sum()))
    return np.array(row)


class Taylor:
    """Support vector machine on 5 s epochs, trained on our marks.

    The classifier of Taylor et al. 2015, as in EDA Explorer, whose trained weights and
    labels are not used.
    """

    def __init__(self, signals: Sequence[Array], masks: Sequence[Mask]) -> None:
        rows, labels = [], []
        for y, bad in zip(signals, masks, strict=True):
            for at in range(0, len(y) - EPOCH + 1, EPOCH):
                rows.append(features(y[at : at + EPOCH]))
                labels.append(bad[at : at + EPOCH].mean() > 0.2)
        self._model = make_pipeline(StandardScaler(), SVC(C=100.0))
        self._model.fit(np.array(rows), np.array(labels))

    def __call__(self, y: Array) -> Mask:
        """Return the values of epochs that are classified as artifact."""
        bad = np.zeros(len(y), np.bool_)
        begins = range(0, len(y) - EPOCH + 1, EPOCH)
        labels = self._model.predict(
            np.array([features(y[i : i + EPOCH]) for i in begins])
        )
        for begin, is_bad in zip(begins, labels, strict=True):
            bad[begin : begin + EPOCH] = is_bad
        return bad
