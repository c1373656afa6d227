"""How ``WideConv`` runs on a CPU: Lava's own model with wider types."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv import utils
from lava.proc.conv.models import AbstractPyConvModel

from hsnn_targets.lava.wide_conv.process import WideConv


@implements(proc=WideConv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyWideConvModel(AbstractPyConvModel):
    """Lava's PyConvModelFixed but for the types; its class cannot be derived from.

    Sums stay exact in float64: in units of the weights' common power of two they are below
    ``2**23 * 2**7 * fan-in``.
    """

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    a_buf: np.ndarray = LavaPyType(np.ndarray, np.int32)
    weight: np.ndarray = LavaPyType(np.ndarray, np.int64)
    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int32)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int32)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int32)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def clamp_precision(self, x: np.ndarray) -> np.ndarray:
        """Wrap at 24 bits, as Lava's own model does."""
        wrapped: np.ndarray = utils.signed_clamp(x, bits=24)
        return wrapped
