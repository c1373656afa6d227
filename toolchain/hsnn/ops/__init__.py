"""The hsnn operator set: the ONNX domain ``hsnn``, version 1.

``OPS`` maps each operator to its :class:`~hsnn.ops.spec.OpSpec`. The functions that put the operators'
meaning into a model are in :mod:`hsnn.ops.functions`, which needs ``onnx``; this module needs nothing.
"""

from __future__ import annotations

from types import MappingProxyType

from hsnn.ops.decoders import DECODERS
from hsnn.ops.encoders import ENCODERS
from hsnn.ops.fixed import FIXED_NEURONS
from hsnn.ops.neurons import NEURONS
from hsnn.ops.spec import Attribute, AttributeValue, OpSpec
from hsnn.ops.structure import STRUCTURE

DOMAIN = "hsnn"
OPSET_VERSION = 1
OPS = MappingProxyType({op.name: op for op in (*ENCODERS, *NEURONS, *FIXED_NEURONS, *DECODERS, *STRUCTURE)})

__all__ = ["DOMAIN", "OPS", "OPSET_VERSION", "Attribute", "AttributeValue", "OpSpec"]
