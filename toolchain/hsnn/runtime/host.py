"""Host stages on ONNX Runtime: which execution provider, and sessions that can be ended in the middle of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hsnn.errors import RunError, TargetMissingError
from hsnn.ir.plan import HostStage

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Values = Mapping[str, NDArray[Any]]

PROVIDERS: Mapping[str, str] = {
    "cann": "CANNExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
"""Names for ``--host``, and what ONNX Runtime calls them."""
_CPU = PROVIDERS["cpu"]
_THREADS_MAX = 16
"""More threads than this make one model of ordinary size slower, not faster."""
_SILENT = 4
"""ONNX Runtime's log level for fatal messages only: errors are raised, not printed."""


def host_names() -> tuple[str, ...]:
    """Names for ``--host`` that this ONNX Runtime was built with, sorted.

    Raises:
        TargetMissingError: ``HSNN-T102``, if onnxruntime is not installed.
    """
    available = _onnxruntime().get_available_providers()
    return tuple(name for name, provider in PROVIDERS.items() if provider in available)


def find_provider(host: str) -> str:
    """Return ONNX Runtime's name of a host.

    Args:
        host: One of :data:`PROVIDERS`, or ONNX Runtime's own name of an execution provider.

    Raises:
        TargetMissingError: ``HSNN-T101``, if this ONNX Runtime does not have it.
    """
    provider = PROVIDERS.get(host.lower(), host)
    if provider in _onnxruntime().get_available_providers():
        return provider
    raise TargetMissingError(
        "HSNN-T101",
        f"this ONNX Runtime has no host {host!r}",
        allowed=", ".join(host_names()),
        fix="choose one with --host, or install the onnxruntime package that has it",
    )


def default_threads() -> int:
    """Number of processors that this process may use, up to 16."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(count, _THREADS_MAX)


class HostExecutable:
    """A host stage, loaded. It may be run by one thread at a time, and closed by any."""

    def __init__(self, stage: HostStage, *, provider: str, threads: int) -> None:
        """Load a stage.

        Args:
            stage: The stage.
            provider: Execution provider; operators that it lacks run on the processor.
            threads: Number of threads on the processor.

        Raises:
            RunError: ``HSNN-R107``, if ONNX Runtime has other inputs or outputs than the stage states.
            TargetMissingError: ``HSNN-T101``, if the provider's libraries are not there.
        """
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _SILENT
        # Idle threads would spin while the chip stages need the processor.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers = [provider] if provider == _CPU else [provider, _CPU]
        self._session = runtime.InferenceSession(stage.model, options, providers=providers, enable_fallback=0)
        self._outputs = list(stage.outputs)
        self._options = runtime.RunOptions()
        self._options.log_severity_level = _SILENT
        # ONNX Runtime goes on without a provider whose libraries are missing.
        if self._session.get_providers()[0] != provider:
            raise TargetMissingError(
                "HSNN-T101",
                f"{provider} is built in, but its libraries cannot be loaded",
                allowed=", ".join(self._session.get_providers()),
                fix="install its libraries, or choose another --host",
            )
        found = {value.name for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        if found != {*stage.inputs, *stage.outputs}:
            raise RunError(
                "HSNN-R107",
                f"the model of stage {stage.name!r} has the inputs and outputs {', '.join(sorted(found))}",
                allowed=", ".join(sorted({*stage.inputs, *stage.outputs})),
                fix="build the artifact again; it does not fit itself",
            )

    def run(self, values: Values) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            values: An array for each input of the stage.

        Returns:
            An array for each output of the stage.
        """
        made = self._session.run(self._outputs, dict(values), self._options)
        return dict(zip(self._outputs, made, strict=True))

    def close(self) -> None:
        """Stop a run that is under way; no other can be started."""
        self._options.terminate = True


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise TargetMissingError(
            "HSNN-T102", f"onnxruntime cannot be imported: {error}", fix="pip install onnxruntime"
        ) from error
    module: ModuleType = onnxruntime
    return module
