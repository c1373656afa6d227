"""How many CUDA devices the driver knows, without torch: what ``status`` may take is milliseconds.

The management library of the driver (NVML) is asked, which makes no context on a device and leaves
processes free to fork. Source: ``nvml.h`` of the CUDA toolkit.
"""

from __future__ import annotations

import ctypes
import os
import sys


def count_devices() -> int:
    """Return the number of CUDA devices; 0 without a driver, or where the environment hides them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return 0
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        count = ctypes.c_uint(0)
        if library.nvmlInit_v2() != 0:
            return 0
        try:
            return count.value if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0
        finally:
            library.nvmlShutdown()
    except (OSError, AttributeError):
        return 0
