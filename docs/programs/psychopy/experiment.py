"""Two pictures, each with a marker at its first frame, and a rating after each.

Run with PsychoPy: python experiment.py sessions/p07
"""

import sys
import time

from physio_markers import Markers
from psychopy import core, event, visual

markers = Markers(sys.argv[1])
window = visual.Window(fullscr=True, color="grey")
for name in ("calm.jpg", "storm.jpg"):
    picture = visual.ImageStim(window, name)
    picture.draw()
    onset = []
    window.callOnFlip(lambda onset=onset: onset.append(time.time()))
    window.flip()
    markers.mark(f"picture {name}", onset[0])
    core.wait(6.0)
    answers = []
    for question in ("unpleasant 1 ... 9 pleasant", "calm 1 ... 9 aroused"):
        visual.TextStim(window, question).draw()
        window.flip()
        (key,) = event.waitKeys(keyList=list("123456789"))[:1]
        answers.append(int(key))
    markers.rate(*answers)
window.close()
