"""What the kernels of learning networks read and write: flat arrays, and where things are in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Int64 = NDArray[np.int64]
    Float64 = NDArray[np.float64]

# Columns of ``populations``.
START, COUNT, SENT, KIND, RESET, REFRACTORY, LABEL, WIDTH, REWARD, PENALTY, UP, DOWN, MARGIN = range(13)
LIF, INTEGRATOR, LEARNER = range(3)
ZERO, SUBTRACT, NONE = range(3)
# Rows of ``parameters`` and ``states``.
KEEP_U, KEEP_V, THRESHOLD, BIAS, AMOUNT = range(5)
U, V, HELD = range(3)
# Columns of ``projections``.
PRE_SENT, PRE_COUNT, POST, WEIGHTS, EXPONENT, DELAY, WRAP24, PLASTIC = range(8)
# Columns of ``plastics``.
(
    P_PRE_SENT,
    P_PRE,
    P_POST_SENT,
    P_POST,
    P_NEURONS,
    P_DEPTH,
    P_EPOCH,
    P_DECIMATE,
    P_THIRD,
    P_WEIGHTS,
    P_TAGS,
    P_X,
    P_Y,
    P_PRE_SPIKED,
    P_POST_SPIKED,
    P_PRODUCTS,
    P_PRODUCT_COUNT,
    P_MAY_SKIP,
) = range(18)
# Columns of ``progress``, which changes: the hardware's timestep of the sample, epochs so far, and where this chunk's
# random numbers go on.
MOMENT, EPOCHS, DRAW, EARLY = range(4)
# Columns of ``products`` and ``factors``.
TARGET, DEPENDENCY, MANTISSA, SHIFT_RIGHT, SHIFT_LEFT, FACTORS, FACTOR_COUNT = range(7)
VARIABLE, CONSTANT, SIGN, LOW, HIGH = range(5)
X0, X1, X2, Y0, Y1, Y2, Y3, W, T, D = range(10)
BY_X0, BY_Y0, BY_EPOCH = range(3)
VARIABLES: Final = {"x0": X0, "x1": X1, "x2": X2, "y0": Y0, "y1": Y1, "y2": Y2, "y3": Y3, "w": W, "t": T, "d": D}
DEPENDENCIES: Final = {"x0": BY_X0, "y0": BY_Y0, "u": BY_EPOCH}
TARGETS: Final = {"dw": 0, "dt": 1, "dd": 2}
# Columns of ``ranges``, for each target: of the accumulator, then of the variable.
ACC_LOW, ACC_HIGH, VALUE_LOW, VALUE_HIGH = range(4)
WON, TAUGHT = range(2)
NOBODY = -1


class Course(NamedTuple):
    """A network that learns, as the kernels see it; nothing in it changes.

    Attributes:
        populations: Neuron populations in order, one row each.
        parameters: Five rows of numbers of all neurons.
        projections: One row each, those into the same population behind one another.
        plastics: Projections that learn.
        decays: What is left of ``x1, x2, y1, y2, y3`` after a timestep, a row for each plastic projection.
        impulses: Impulses of these traces, whole and in 1/256, shape ``(plastic, 5, 2)``.
        products, factors: All products of all rules.
        ranges: Shape ``(plastic, 3, 4)``.
        gains: Of the third factor.
        sizes: Timesteps, period.
    """

    populations: Int64
    parameters: Int32
    projections: Int64
    plastics: Int64
    decays: Float64
    impulses: Int64
    products: Int64
    factors: Int64
    ranges: Int64
    gains: Int64
    sizes: Int64


class Memory(NamedTuple):
    """What a lesson changes.

    Attributes:
        weights: Weights of every projection, ``(pre, post)`` in C order, one behind the other.
        tags: Tags ``t`` and ``d`` of plastic projections, for each of them two such matrices.
        traces: ``x1, x2`` and ``y1, y2, y3`` of plastic projections, one row each.
        spiked: Timestep of the epoch at which each of their neurons has spiked last, or 0.
        minds: Stability and recruited, two rows of all neurons.
        progress: One row for each plastic projection.
        states: Current, voltage and timesteps held, three rows of all neurons.
        contests: Winner and whether a label came, one row a population.
        third: ``y1, y2, y3`` of all neurons before the first timestep and after each, shape
            ``(timestep + 1, 3, neuron)``.
        sent: What ports and populations send, shape ``(timestep, sender)``.
        sums, part: Scratch of one population.
        x_history, y_history: Scratch of one epoch, shape ``(timestep + 1, trace, neuron)``.
        active: Scratch: postsynaptic neurons whose synapses may change.
    """

    weights: Int32
    tags: Int32
    traces: Int32
    spiked: Int32
    minds: Int64
    progress: Int64
    states: Int32
    contests: Int64
    third: Int64
    sent: Int32
    sums: Int64
    part: Int64
    x_history: Int64
    y_history: Int64
    active: Int64


class Chances(NamedTuple):
    """Random numbers of a chunk of samples, those of one plastic projection behind those of another.

    Attributes:
        level: Rounding of synaptic variables, 0 to 127.
        decay: For traces of both sides.
        impulse: Likewise.
        early: At every timestep of the hardware.
    """

    level: Int64
    decay: Float64
    impulse: Int64
    early: Int64
