"""
Gaps in a recording
===================

A wristband with transmission faults: it is unplugged for eight seconds, and 3 % of its
blocks are lost. Lost samples keep their numbers, so figures, filters and windows know
how much is missing.
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
# Each row is a stream; missing samples are red, partly missing ones are yellow.

figure = quality_figure(streams, 0.0, 60.0)
