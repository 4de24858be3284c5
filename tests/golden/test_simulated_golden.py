"""The simulated participant is frozen: models are trained and judged on it.

The signals are hashed as whole steps of each sensor, and true times in microseconds, so
that the last bits of another processor's exponential do not matter. What changes a hash
makes another participant: every weight file trained on the old ones must then be made
anew.
"""

from hashlib import sha256

import numpy as np
import pytest

from devices.simulated import Chest, Headset, Wristband
from devices.simulated.headset import STEP
from physio.core.block import Block
from physio.core.protocols import FastClock

STEPS = {
    "eeg": STEP,
    "eda": 0.001,
    "bvp": 0.01,
    "acc": 1 / 64,
    "temp": 0.02,
    "ecg": 0.001,
    "resp": 0.001,
    "truth": 1e-6,
}

FROZEN = {
    (Headset, "published"): (
        "d61be15f01c4fc8fe05d008d0868a2c67cb981320c13b45c7abd9365692f8ef5"
    ),
    (Headset, "exaggerated"): (
        "eaa57ec40418dacbeccbd5167d7a7870895064a1a449d38eff95b55c07545c25"
    ),
    (Wristband, "published"): (
        "af68a7793b1fdcc533d70e9c88e1eb263a07bd2ffb4810e0232a4237acfdd47c"
    ),
    (Wristband, "exaggerated"): (
        "8ccc941705fbbc5daca75f6e83efa96131be12f68393b215e370dd1a176abdac"
    ),
    (Chest, "published"): (
        "5a3165f3e72e2db746f7f6f0bd3f3fb66c0b39d68614ccd7d2f323c937330abd"
    ),
    (Chest, "exaggerated"): (
        "6a7bddfd320f64edc70f5c458ad57c0c937b1109f7e80fcd8e352df732c296f1"
    ),
}


@pytest.mark.parametrize(("make", "preset"), FROZEN)
def test_frozen(make: type, preset: str) -> None:
    clock = FastClock()
    digest = sha256()
    with make(clock=clock, seed=1, preset=preset, seconds=30.0) as device:
        clock.wait(30.0)
        for item in device.read():
            name = item.info.name.partition(".")[2]
            if isinstance(item, Block):
                steps = np.round(item.data / STEPS[name])
            else:
                steps = np.round(np.column_stack([item.times, item.data]) * 1e6)
            digest.update(name.encode() + steps.astype("<i8").tobytes())
    assert digest.hexdigest() == FROZEN[make, preset]
