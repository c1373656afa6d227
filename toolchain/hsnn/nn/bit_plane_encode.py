"""The encoder of bit planes: one bit of a value at every timestep.

The forward value is exactly that of the operator; the gradient is one of :mod:`hsnn.nn.plane_gradients`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.plane_gradients import PLANE_GRADIENTS
from hsnn.nn.symbolic import SAMPLE_AXES, OpLayer, exporting, require_input
from hsnn.ops.spec import float32


class BitPlaneEncode(OpLayer):
    """Bit-plane code: timestep ``t`` carries one bit of ``levels * x'`` with ``levels = 2**planes - 1``.

    ::

        z = levels * x'   (floored first with floor_lsb)
        plane 0 = z mod 2;   plane k = floor(z / 2**k) mod 2

    Values beyond [0, 1] wrap around, as in the code that this comes from: only rescaling bounds them.

    Args:
        planes: Number of planes, which is the number of timesteps, 1 to 24.
        order: ``lsb`` sends the least significant plane first, ``msb`` last.
        floor_lsb: Whether plane 0 is floored to a bit; else it is real, in [0, 2).
        rescale: ``none``; ``static``: ``clip((x - low) / (high - low), 0, 1)``; ``per_sample`` or ``batch``:
            from the smallest and largest value of the sample or batch to [0, 1], but unchanged if all lie
            there already and 1 if all are equal.
        low: Value that ``static`` maps to 0.
        high: Value that ``static`` maps to 1.
        gradient: Name of the gradient: ``straight_through`` gives that of ``x'`` to every plane, so that the
            decoder with the matching weights has the gradient 1; ``sig_sine``, ``tanh_sine`` and
            ``fourier_sine`` are those of HAS-8, see :mod:`hsnn.nn.plane_gradients`.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.

    Source: HAS-8, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc.
    """

    planes: int
    order: str
    floor_lsb: int
    rescale: str
    low: float
    high: float

    def __init__(
        self,
        planes: int = 8,
        *,
        order: str,
        floor_lsb: bool,
        rescale: str,
        low: float = 0.0,
        high: float = 1.0,
        gradient: str = "straight_through",
    ) -> None:
        super().__init__(
            "BitPlaneEncode",
            {"planes": planes, "order": order, "floor_lsb": floor_lsb, "rescale": rescale, "low": low, "high": high},
        )
        if not float32(low) < float32(high):
            raise UsageError("HSNN-U021", f"BitPlaneEncode has low {low} and high {high}", allowed="low below high")
        if gradient not in PLANE_GRADIENTS:
            raise UsageError(
                "HSNN-U021", f"BitPlaneEncode has gradient {gradient!r}", allowed=", ".join(PLANE_GRADIENTS)
            )
        self.gradient = gradient

    def forward(self, x: Tensor) -> Tensor:
        """Return the planes of ``x``, ``(batch, *feature)``; shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is not floating point or has no feature axis.
        """
        require_input(self, x, at_least=2, axes=SAMPLE_AXES)
        if exporting():
            return self.emit((x,))
        rescaled = self._rescaled(x)
        k = tuple(range(self.planes))
        significance = k if self.order == "lsb" else k[::-1]
        return PLANE_GRADIENTS[self.gradient](rescaled, self._planes(rescaled.detach()), significance)

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        levels = 2.0**self.planes - 1
        z = self._rescaled(x) * levels
        units = [1.0 if self.floor_lsb else 2.0, *(2.0**k for k in range(1, self.planes))]
        margins = [(z / unit - (z / unit).round()).abs() * unit / levels for unit in units]
        return torch.stack(margins if self.order == "lsb" else margins[::-1])

    def _rescaled(self, x: Tensor) -> Tensor:
        if self.rescale == "none":
            return x
        if self.rescale == "static":
            low, high = x.new_tensor(self.low), x.new_tensor(self.high)
            return ((x - low) / (high - low)).clamp(0, 1)
        axes = tuple(range(0 if self.rescale == "batch" else 1, x.ndim))
        smallest, largest = x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
        flat = largest == smallest
        ratio = (x - smallest) / torch.where(flat, torch.ones_like(largest), largest - smallest)
        within = (smallest >= 0) & (largest <= 1)
        return torch.where(within, x, torch.where(flat, torch.ones_like(x), ratio))

    def _planes(self, rescaled: Tensor) -> Tensor:
        z = rescaled * (2.0**self.planes - 1)
        first = z.floor() if self.floor_lsb else z
        shifted = [first, *((z / 2.0**k).floor() for k in range(1, self.planes))]
        planes = [value - (value * 0.5).floor() * 2 for value in shifted]
        return torch.stack(planes if self.order == "lsb" else planes[::-1])
