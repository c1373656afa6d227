"""The target ``gpu``: whether a CUDA device is there, and networks loaded on it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from hsnn.errors import TargetMissingError, UsageError
from hsnn.ir.validate import validate_network
from hsnn.learning import refuse_learning_parts
from hsnn.target import TargetStatus
from hsnn_targets.gpu.driver import count_devices

if TYPE_CHECKING:
    from hsnn.ir.integer import IntegerNetwork
    from hsnn_targets.gpu.machine import GpuExecutable

DEVICE_VARIABLE = "HSNN_GPU_DEVICE"
DEVICE = re.compile(r"cpu|cuda(:[0-9]+)?", re.ASCII)
WAYS_OUT = "--target emulator runs on the processor; --device cpu runs this target there, slowly"


@dataclass(frozen=True, slots=True)
class GpuTarget:
    """Integer networks on a CUDA device through torch, equal to ``reference`` in every bit.

    Attributes:
        device: ``cuda``, ``cuda:N`` or ``cpu``; by default what ``HSNN_GPU_DEVICE`` says, or else
            ``cuda``. ``cpu`` is for tests: ``emulator`` is much faster there.
    """

    device: str | None = None

    @property
    def name(self) -> str:
        """Name for ``--target``."""
        return "gpu"

    def on(self, device: str) -> GpuTarget:
        """The same target on another device."""
        return GpuTarget(device)

    def status(self) -> TargetStatus:
        """Tell whether torch and a device are here; imports no torch, and asks no more than the driver."""
        try:
            versions = {"torch": version("torch")}
        except PackageNotFoundError:
            return TargetStatus(False, "torch is not installed; pip install 'hsnn[torch]'")
        wanted = self.device or os.environ.get(DEVICE_VARIABLE, "")
        if wanted == "cpu":
            return TargetStatus(True, "torch on the processor, as asked for", versions)
        found = count_devices()
        if not found:
            return TargetStatus(False, f"no CUDA device was found; {WAYS_OUT}", versions)
        if "+cpu" in versions["torch"]:
            return TargetStatus(False, "this build of torch has no CUDA; install one that has", versions)
        return TargetStatus(True, f"torch on {found} CUDA device{'s' if found > 1 else ''}", versions)

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> GpuExecutable:
        """Put a network on the device.

        Args:
            network: A valid network.
            timeout: Not used: a run cannot stall.

        Raises:
            HsnnError: ``HSNN-I001``, if the network breaks its contract.
            TargetMissingError: ``HSNN-T050``, if torch is missing; ``HSNN-T051``, if there is no CUDA
                device, or none of that number.
            UsageError: ``HSNN-U050``, if the device is not one of those that can be named.
            RunError: ``HSNN-R040``, if the synapses do not fit into the device's memory.
        """
        validate_network(network)
        refuse_learning_parts(network, self.name)
        device = choose_device(self.device)
        from hsnn_targets.gpu.machine import GpuExecutable  # torch takes seconds to import

        return GpuExecutable(network, device)


def choose_device(wanted: str | None) -> str:
    """Resolve the device, ``cpu`` or ``cuda:N``.

    Args:
        wanted: What the caller asked for, or None for the environment and else ``cuda``.

    Raises:
        UsageError: ``HSNN-U050``, if it is not a device that can be named.
        TargetMissingError: ``HSNN-T050`` without torch, ``HSNN-T051`` without that device.
    """
    asked = wanted if wanted is not None else os.environ.get(DEVICE_VARIABLE, "")
    if asked and not DEVICE.fullmatch(asked):
        what = "device" if wanted is not None else f"environment variable {DEVICE_VARIABLE}"
        raise UsageError(
            "HSNN-U050", f"{what} is {asked!r}", allowed="cuda, cuda:N or cpu", fix="name one of them with --device"
        )
    try:
        import torch
    except ImportError as error:
        raise TargetMissingError(
            "HSNN-T050", "target 'gpu' needs torch", fix="pip install 'hsnn[torch]', or run on --target emulator"
        ) from error
    if asked == "cpu":
        return asked
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(asked.partition(":")[2] or (torch.cuda.current_device() if count else 0))
    if number >= count:
        found = "this build of torch has no CUDA" if torch.version.cuda is None else f"torch finds {count} CUDA devices"
        raise TargetMissingError("HSNN-T051", f"target 'gpu' needs {asked or 'a CUDA device'}: {found}", fix=WAYS_OUT)
    return f"cuda:{number}"


TARGET = GpuTarget()
