"""Resonators of a population, and their complex synapses, as the fields of a ``.net`` layer.

Source: lava-dl 0.6.0, ``netx/hdf5.py`` for what netx makes of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.frontends.netx.parse_neurons import DECAY_ONE
from hsnn.frontends.netx.write_synapses import Synapses, refused, weights_of
from hsnn.ir.arithmetic import STATE_SHIFT, STOCK_VTH_MAX
from hsnn.ir.populations import ResonatorPopulation
from hsnn.ir.shape import part_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def resonator_fields(population: ResonatorPopulation, matrix: Ints, synapses: Synapses) -> dict[str, Any]:
    """Fields of resonators and their synapses that netx runs as hsnn does.

    netx makes a period and a decay of the two numbers, and those numbers again of these, cutting off what is behind the
    point: four of ten pairs come back off by one. Such a pair is refused.

    Args:
        population: Resonators.
        matrix: Weights of both parts, with their exponent.
        synapses: Where they come from.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know or would compute otherwise.
    """
    name = population.name
    if synapses.recurrent is not None:
        raise refused(f"resonators {name!r} have synapses to themselves", "none, since netx has none for them")
    parts = part_indices(population.shape)
    named = {
        f"weight/{part}": weights_of(matrix[rows], f"{synapses.names} ({part})")
        for part, rows in zip(("real", "imag"), parts.reshape(2, -1), strict=True)
    }
    level = _shared(population, "threshold")
    if level % (1 << STATE_SHIFT) or not 0 < level >> STATE_SHIFT < STOCK_VTH_MAX:
        raise refused(f"the threshold of {name!r} is {level}", "a multiple of 64 below 131071 * 64")
    pair = (_shared(population, "sin_decay"), _shared(population, "cos_decay"))
    if netx_pair(*pair) != pair:
        found = f"sinDecay and cosDecay of {name!r} are {pair}, of which netx makes {netx_pair(*pair)}"
        raise refused(found, "a pair that its floats give back, about six of ten")
    return {
        **named,
        "neuron/type": "RF_IZHIKEVICH" if population.firing == "izhikevich" else "RF_PHASE",
        "neuron/sinDecay": pair[0],
        "neuron/cosDecay": pair[1],
        "neuron/vThMant": level >> STATE_SHIFT,
        "neuron/gradedSpike": False,
    }


def netx_pair(sin: int, cos: int) -> tuple[int, int] | None:
    """What netx and Lava's RF make of ``sinDecay`` and ``cosDecay``; None where they divide by zero.

    Source: ``neuron_params`` of lava-dl ``slayer/neuron/rf.py``, then the constructor of lava ``proc/rf/process.py``.

    >>> netx_pair(1480, 782), netx_pair(10, 4000)
    ((1479, 782), (10, 4000))
    """
    part_sin, part_cos = sin / DECAY_ONE, cos / DECAY_ONE
    alpha = 1 - np.sqrt(part_sin**2 + part_cos**2)
    frequency = np.arctan2(part_sin, part_cos) / 2 / np.pi
    if frequency == 0.0:
        return None
    period = 1 / frequency
    angle = np.pi * 2 * 1 / period
    return int((1 - alpha) * np.sin(angle) * DECAY_ONE), int((1 - alpha) * np.cos(angle) * DECAY_ONE)


def _shared(population: ResonatorPopulation, what: str) -> int:
    values = getattr(population, what)
    if values.min() != values.max():
        raise refused(f"resonators {population.name!r} have a {what} each", "one for all neurons, as netx has it")
    return int(values.flat[0])
