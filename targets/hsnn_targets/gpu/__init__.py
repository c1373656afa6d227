"""The target ``gpu``: integer networks as torch tensors on a CUDA device, equal to the reference in every bit."""

from hsnn_targets.gpu.target import TARGET, GpuTarget

__all__ = ["TARGET", "GpuTarget"]
