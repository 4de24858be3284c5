"""Simulated participants with known ground truth, and the devices that they wear.

Valence, arousal and dominance, each on [-1, 1], drive a simulated physiology;
`Headset`, `Wristband` and `Chest` measure it. The hidden trajectory of affect and the
events of the sensors are streamed as ground truth. Every stream's origin is
``simulated``.

The table gives the effect of one unit of affect (from the middle of a scale to its end)
on the physiology in the preset ``published``; ``exaggerated`` multiplies the mean by
3.5, for demonstrations. ``mean`` is the mean over participants. Each participant's
effect is drawn about it with ``sd``, which is often the larger of the two: many
participants respond in the opposite direction. The directions are from the literature.
The sizes are this package's reading of it, not a published table: they are set so that
effects are as small, relative to the simulated noise and differences between
participants, as published ones. No other effects exist: posture, for example, carries
no information on the condition.

===================  =====  ====  =======  =========================================
effect               mean   sd    unit     evidence and source
===================  =====  ====  =======  =========================================
heart.arousal         8.00  4.00  1/min    certain under stress (Kreibig 2010)
heart.valence         1.00  1.50  1/min    disputed (Lang et al. 1993)
rsa.arousal          -0.20  0.15  ln       fair under stress (Castaldo et al. 2015)
breath.arousal        1.50  1.50  1/min    fair (Boiten et al. 1994)
pulse.arousal        -0.15  0.15  ln       fair: vessels narrow (Kreibig 2010)
transit.arousal      -8.00  5.00  ms       weak (Kreibig 2010)
level.arousal         0.10  0.08  ln       certain (Boucsein 2012)
responses.arousal     0.80  0.35  ln rate  certain (Lang et al. 1993; Boucsein 2012)
size.arousal          0.15  0.15  ln       fair (Lang et al. 1993)
temperature.arousal  -0.20  0.20  degC     fair at fingers, weak at wrists (Kistler
                                           et al. 1998; Vinkers et al. 2013)
motion.arousal        0.20  0.20  ln rate  assumed
theta.arousal         0.05  0.12  ln       weak: effort more than affect (Cavanagh
                                           and Frank 2014)
alpha.arousal        -0.15  0.15  ln       fair (Barry et al. 2007)
asymmetry.valence     0.04  0.10  ln       disputed: right minus left frontal alpha
                                           (Davidson 1992; Smith et al. 2017)
beta.arousal          0.05  0.12  ln       weak (Alarcao and Fonseca 2019)
beta.dominance        0.02  0.08  ln       very weak (Reuderink et al. 2013)
gamma.arousal         0.00  0.12  ln       no agreed sign; participants differ
gamma.valence         0.03  0.12  ln       weak (Koelstra et al. 2012)
muscle.arousal        0.15  0.20  ln       fair; overlaps with beta and gamma
                                           (Goncharova et al. 2003; Whitham et al.
                                           2007)
muscle.valence       -0.10  0.15  ln       fair: the frown (Larsen et al. 2003)
blink.arousal         0.10  0.15  ln rate  fair (Stern et al. 1984)
===================  =====  ====  =======  =========================================

``ln`` is the logarithm of an amplitude for rsa, pulse, level and size, of a power for
EEG and muscles, of a rate for ``ln rate``. Autonomic effects follow affect with a time
constant of 3 s, the skin conductance level with 25 s, skin temperature with 80 s.

References
----------
Alarcao and Fonseca 2019, IEEE Trans. Affect. Comput. 10:374. Barry et al. 2007, Clin.
Neurophysiol. 118:2765. Boiten et al. 1994, Psychol. Bull. 115:103. Boucsein 2012,
Electrodermal Activity, 2nd ed. Castaldo et al. 2015, Biomed. Signal Process. Control
18:370. Cavanagh and Frank 2014, Trends Cogn. Sci. 18:414. Davidson 1992, Brain Cogn.
20:125. Goncharova et al. 2003, Clin. Neurophysiol. 114:1580. Kistler et al. 1998, Int.
J. Psychophysiol. 29:35. Koelstra et al. 2012, IEEE Trans. Affect. Comput. 3:18. Kreibig
2010, Biol. Psychol. 84:394. Lang et al. 1993, Psychophysiology 30:261. Larsen et al.
2003, Psychophysiology 40:776. Reuderink et al. 2013, Int. J. Auton. Adapt. Commun.
Syst. 6:45. Schmidt et al. 2018, ICMI. Smith et al. 2017, Int. J. Psychophysiol. 111:98.
Stern et al. 1984, Psychophysiology 21:22. Vinkers et al. 2013, Stress 16:520. Whitham
et al. 2007, Clin. Neurophysiol. 118:1877.
"""

from typing import Final

from devices.simulated.chest import Chest
from devices.simulated.headset import Headset
from devices.simulated.wristband import Wristband

__all__ = ["Chest", "Headset", "Wristband"]

TESTED_WITH: Final = "the published effects and its own ground truth"
"""Tests behind this device, for the page of supported devices."""
