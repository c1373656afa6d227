"""What was measured on: processor, features, caches, versions, and how busy it was."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hsnn_targets.emulator.tiers import NEEDED, usable_tiers

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
PACKAGES = ("hsnn", "numpy", "llvmlite", "torch", "onnxruntime", "lava-nc", "spikingjelly", "snntorch")


def describe() -> Mapping[str, object]:
    """Describe this machine and this moment."""
    from llvmlite import binding

    found = binding.get_host_cpu_features()
    wanted = dict.fromkeys(name for names in NEEDED.values() for name in names)
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "llvm_name": binding.get_host_cpu_name(),
        "cores": os.cpu_count(),
        "features": [name for name in wanted if found.get(name, False)],
        "tiers": list(usable_tiers()),
        "caches_bytes": caches(),
        "python": sys.version.split()[0],
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def caches() -> dict[str, int]:
    """Sizes of the data caches of one core, where the system tells: ``L1``, ``L2``, ``L3``."""
    sizes = {}
    for folder in sorted(CACHES.glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            text = (folder / "size").read_text().strip()
            sizes[f"L{(folder / 'level').read_text().strip()}"] = int(text[:-1]) << {"K": 10, "M": 20}[text[-1]]
    return sizes


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
