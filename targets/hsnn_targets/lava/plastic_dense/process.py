"""The process ``PlasticDense``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lava.proc.dense.process import LearningDense

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PlasticDense(LearningDense):
    """LearningDense with epochs behind it: random numbers and ``u_k`` go on from there.

    Args:
        epochs: Epochs that lie behind.
        pre_traces, post_traces: Traces ``x1, x2`` and ``y1, y2, y3``, one row each.
        kwargs: Arguments of LearningDense.
    """

    def __init__(
        self, *, epochs: int, pre_traces: NDArray[np.int32], post_traces: NDArray[np.int32], **kwargs: Any
    ) -> None:
        super().__init__(epochs=epochs, **kwargs)
        for name, row in zip(("x1", "x2", "y1", "y2", "y3"), (*pre_traces, *post_traces), strict=True):
            getattr(self, name).init = row.copy()
