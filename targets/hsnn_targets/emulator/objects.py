"""Object files in memory become functions; llvmlite alone does that."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from llvmlite import binding  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from hsnn_targets.emulator.kernel import Entry

ENTRY = "hsnn_entry"
"""Name of the function in every object file."""
_ENGINES: list[Any] = []
"""Engines own the memory that functions lie in, and kernels live as long as the process."""


def load(code: bytes) -> Entry:
    """Make an object file of this processor callable."""
    machine = target()
    empty = binding.parse_assembly(f'target triple = "{binding.get_process_triple()}"')
    engine = binding.create_mcjit_compiler(empty, machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(engine.get_function_address(ENTRY))


def target(**options: object) -> Any:
    """What LLVM makes code for: this processor, as far as ``options`` say so."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True, **options)
