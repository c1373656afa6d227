"""Ask the system for the registers of tiles.

Linux gives a process the 8 KiB of tile state only where it asks for it, before a thread uses them; threads that start
later have it, too. The number of the call and of the request are those of the kernel's
``Documentation/arch/x86/xstate.rst`` (``ARCH_REQ_XCOMP_PERM``, 0x1023, of ``arch_prctl``, call 158 of x86-64) and the
component is 18, tile data.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18


@cache
def may_use_tiles() -> bool:
    """Whether this process may use tiles from now on; asks once."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    return bool(call(*map(ctypes.c_long, (ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA))) == 0)
