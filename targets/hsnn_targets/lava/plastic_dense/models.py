"""How ``PlasticDense`` runs on a CPU: as Lava's LearningDense, whose generators are taken on first."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.connection import LearningConnectionModelBitApproximate
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import AbstractPyDenseModelBitAcc, PyLearningDenseModelBitApproximate

from hsnn_targets.lava.plastic_dense.process import PlasticDense


@implements(proc=PlasticDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPlasticDenseModel(LearningConnectionModelBitApproximate, AbstractPyDenseModelBitAcc):
    """All arithmetic is Lava's. A model of one process cannot be a subclass of another's, so it is put together."""

    run_spk = PyLearningDenseModelBitApproximate.run_spk

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.num_weight_bits = proc_params["num_weight_bits"]
        self._behind = proc_params["epochs"]
        for _ in range(self._behind):
            self._conn_var_random.advance()
        for _ in range(2 * self._behind * self._learning_rule.t_epoch):
            self._x_random.advance()
            self._y_random.advance()

    def _extract_applier_args(self, x_traces_history: np.ndarray, y_traces_history: np.ndarray) -> dict[str, Any]:
        """Count the epochs that lie behind, too."""
        arguments: dict[str, Any] = super()._extract_applier_args(x_traces_history, y_traces_history)
        exponent = self._learning_rule.decimate_exponent
        if exponent is not None:
            epoch = self._behind + self.time_step // self._learning_rule.t_epoch
            arguments["u"] = int(epoch % 2**exponent == 0)
        return arguments
