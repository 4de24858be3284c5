"""
Gaps are gaps
=============

The same wristband on a bad line: it is unplugged for eight seconds, and one block in
thirty is lost on the way. Lost samples keep their numbers, so a picture, a filter and a
window all know that something is missing, and how much.
"""

from devices.fault_injection import Fault, FaultInjector
from devices.simulated import Wristband
from physio.core.block import Block
from physio.core.protocols import FastClock
from physio.view.plots.coverage import quality_figure

clock = FastClock()
faults = (Fault("unplug", 20.0, 8.0), Fault("drop", amount=0.03))
band = Wristband(clock=clock, seed=3, seconds=60.0, ground_truth=False)
streams = {}
with FaultInjector(band, faults, clock=clock) as line:
    while not line.ended:
        clock.wait(0.5)
        for item in line.read():
            if isinstance(item, Block):
                streams.setdefault(item.info.name, []).append(item)

# %%
# Each row is a stream; what never came is red, what came in part is pale.

figure = quality_figure(streams, 0.0, 60.0)
