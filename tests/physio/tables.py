"""A table of features as `physio extract` makes them, without a recording."""

import numpy as np
import pandas as pd


def table(
    participants: int = 6,
    seed: int = 5,
    width: int = 240,
    hop: int = 20,
    reach: int = 350,
) -> pd.DataFrame:
    """Return windows of participants who had two conditions twice, half of them turned.

    At 4 samples a second: windows of 60 s every 5 s. Three features, as a sensor has
    them: participants differ, a window resembles the next, and the label shifts the
    first.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for p in range(participants):
        names = ["calm", "stress", "calm", "stress"]
        names = names if p % 2 else names[::-1]
        own = rng.normal(0, 1, 3)
        for k, name in enumerate(names):
            start = 2400 * k + hop * np.arange((2400 - width) // hop)
            n = len(start)
            x = np.empty((n, 3))
            x[0] = rng.normal(0, 1, 3)
            for i in range(1, n):
                x[i] = 0.9 * x[i - 1] + rng.normal(0, 0.44, 3)
            x += own
            x[:, 0] += 1.5 * (name == "stress")
            part = pd.DataFrame(
                x, columns=["eda.scr_rate", "heart.rate", "motion.activity"]
            )
            place = {
                "subject": f"S{p + 1}",
                "session": str(1 + k // 2),
                "trial": "",
                "segment": k,
                "label": name,
                "start_sample": start,
                "end_sample": start + width,
                "support_start_sample": np.maximum(start + width - reach, 0),
                "start_s": start / 4,
                "end_s": (start + width) / 4,
            }
            parts.append(part.assign(**place))
    return pd.concat(parts, ignore_index=True)
