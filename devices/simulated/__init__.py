"""A person with known truth, wearing what we can read: a simulation, not a recording.

Valence, arousal and dominance on [-1, 1] drive a body that headset, wristband and chest
strap measure.
"""

from devices.simulated.chest import Chest
from devices.simulated.headset import Headset
from devices.simulated.wristband import Wristband

__all__ = ["Chest", "Headset", "Wristband"]
