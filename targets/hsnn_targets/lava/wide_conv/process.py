"""The process ``WideConv``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from lava.proc.conv.process import Conv


class WideConv(Conv):
    """Lava's Conv with sums beyond 32 bits, or with more than 127 groups or kernel rows.

    Lava's model casts its float64 sums to the type of the weights, int32, where too large a sum turns
    into rubbish instead of wrapping, and it keeps groups, kernel size, stride, padding and dilation
    in int8.
    """
