"""Hold a population whose scale the model fixes to its promise: that nothing is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import QuantizationError
from hsnn.ir import arithmetic as rules
from hsnn.ir.spiking import CurrentNeuron, FloatAdaptiveLif, FloatSigmaDelta
from hsnn.passes.quantization.quantize_neurons import DecayError, NeuronError
from hsnn.passes.quantization.quantize_weights import ProjectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

_ROUNDING = 1e-12
"""Relative error that float64 itself causes."""


def require_exact(neuron: CurrentNeuron, projections: Sequence[ProjectionError], errors: NeuronError) -> None:
    """Check that the integers of a population are exactly what the model says.

    Args:
        neuron: Neurons that fix their scale.
        projections: What rounding changed in every projection that ends there.
        errors: What it changed in their parameters.

    Raises:
        QuantizationError: ``HSNN-Q015``, naming what would have been rounded.
    """
    changed = changes(neuron, projections, errors, neuron.scale or 1.0)
    if changed:
        raise QuantizationError(
            "HSNN-Q015",
            f"population {neuron.name!r} fixes its scale at {neuron.scale:g}, but rounding would change "
            f"{'; '.join(changed)}",
            allowed="parameters that are integers of the chip at that scale: even weights of 8 bits, decays in 1/4096",
            fix="leave the scale to hsnn, or give weights that were trained in 8 bits",
        )


def require_exact_messages(neuron: FloatSigmaDelta, *, exact: bool) -> None:
    """Check that sigma-delta neurons that fix their scale got exact integers.

    Raises:
        QuantizationError: ``HSNN-Q015``, if they did not.
    """
    if neuron.scale is not None and not exact:
        raise QuantizationError(
            "HSNN-Q015",
            f"population {neuron.name!r} fixes its scale at {neuron.scale:g}, but its states or synapses do not fit it",
            allowed="even weights of 8 bits behind messages of the same unit, biases that are integers of that scale, "
            "and sums of convolutions within 24 bits, others within 32",
            fix="use smaller inputs or weights, or samples that are more like the real ones",
        )


def changes(
    neuron: CurrentNeuron, projections: Sequence[ProjectionError], errors: NeuronError, scale: float
) -> list[str]:
    """Say what rounding at a scale changes.

    Args:
        neuron: Neurons with a current and a voltage.
        projections: What rounding changed of the weights of each projection into them.
        errors: What it changed of the neurons' own parameters.
        scale: Units of the chip per unit of the model's voltage.

    Returns:
        Parts of a sentence; none if the integers are exactly what the model says.
    """
    changed = [f"weights of {error.name!r} by up to {error.largest:.3g}" for error in projections if error.snr_db]
    if _differs(errors.current_decay):
        changed.append(f"the current decay by up to {errors.current_decay.largest:.3g}")
    if _differs(errors.voltage_decay):
        changed.append(f"the voltage decay by up to {errors.voltage_decay.largest:.3g}")
    if errors.threshold:
        changed.append(f"the threshold by up to {errors.threshold:.3g} of its value")
    if errors.bias * scale > _ROUNDING * max(1.0, float(abs(neuron.bias).max()) * scale):
        changed.append(f"the bias by up to {errors.bias:.3g}")
    if isinstance(neuron, FloatAdaptiveLif):
        decays = (neuron.threshold_decay * rules.DECAY_ONE, neuron.refractory_decay * rules.DECAY_ONE)
        if any(_is_rounded(values) for values in (*decays, neuron.threshold_step * scale)):
            changed.append("what its spikes leave behind")
    return changed


def _is_rounded(values: Float) -> bool:
    return bool(np.any(values != np.rint(values)))


def _differs(decay: DecayError) -> bool:
    return decay.largest > _ROUNDING
