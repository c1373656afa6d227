"""Lava's simulation of Loihi 2, in a supervised worker process.

::

    network -> planner, schedule -> blueprint | -> assemble -> processes of Lava, and ours in the packages beside
       in this process             supervisor | worker            in a process group of its own

Lava is imported by nothing on the left.
"""

from hsnn_targets.lava.target import LavaTarget

TARGET = LavaTarget()
