"""Encoder and decoder of bit planes as a pair, in two presets.

==========  =========================  =====================  =======  ===================  ================
preset      encoder's order            plane 0                rescale  decoder's weights    gradient
==========  =========================  =====================  =======  ===================  ================
has8        least significant first    real, in [0, 2)        batch    128, 64, ..., 1      ``fourier_sine``
matched     least significant first    a bit                  static   1, 2, ..., 128       straight through
==========  =========================  =====================  =======  ===================  ================

``has8`` is what its authors published: decoding reverses the bits, and what comes out for one sample depends on
the others of its batch. ``matched`` has neither: the decoder undoes the encoder, samples are independent, and
every spike is binary. The published gradients fit the published weights: with matching ones, the gradient of the
most significant plane is 448 times that of the value, so ``matched`` is trained straight through.

Source: HAS-8, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc.
"""

from __future__ import annotations

from hsnn.nn.bit_plane_encode import BitPlaneEncode
from hsnn.nn.decoders import WeightedSumDecode


def has8(planes: int = 8, *, gradient: str = "fourier_sine") -> tuple[BitPlaneEncode, WeightedSumDecode]:
    """Return encoder and decoder as published.

    Args:
        planes: Number of planes, 1 to 24; 8 in the paper.
        gradient: Name of the encoder's gradient, see :mod:`hsnn.nn.plane_gradients`.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.
    """
    encode = BitPlaneEncode(planes, order="lsb", floor_lsb=False, rescale="batch", gradient=gradient)
    weights = [2.0**k for k in reversed(range(planes))]
    return encode, WeightedSumDecode(weights, divisor=2.0**planes - 1)


def matched(
    planes: int = 8, *, low: float = 0.0, high: float = 1.0, gradient: str = "straight_through"
) -> tuple[BitPlaneEncode, WeightedSumDecode]:
    """Return encoder and decoder that agree; decoding gives ``(x - low) / (high - low)``, floored to the planes.

    Args:
        planes: Number of planes, 1 to 24.
        low: Value that becomes 0, below ``high``.
        high: Value that becomes 1.
        gradient: Name of the encoder's gradient, see :mod:`hsnn.nn.plane_gradients`.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.
    """
    encode = BitPlaneEncode(
        planes, order="lsb", floor_lsb=True, rescale="static", low=low, high=high, gradient=gradient
    )
    weights = [2.0**k for k in range(planes)]
    return encode, WeightedSumDecode(weights, divisor=2.0**planes - 1)
