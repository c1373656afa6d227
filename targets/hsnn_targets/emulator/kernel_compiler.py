"""Make machine code of kernels with numba; this takes many seconds, and nothing else needs numba.

Numba optimizes every function by itself and makes machine code of it, then again as part of each function that
calls it. Here functions are translated and tidied; the whole kernel is optimized and becomes machine code once, as
one module of which only the entry can be seen. So what all callers took over disappears.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import numba
import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.np import arrayobj

from hsnn_targets.emulator.arguments import Kind
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value
from hsnn_targets.emulator.objects import ENTRY
from hsnn_targets.emulator.tiers import numba_is_told

# what is not typed in numba, or typed wrongly
types, _arrays = cast("Any", numba.types), cast("Any", arrayobj)


class _Part(codegen.JITCodeLibrary):
    """A function's code that is not run by itself; it is tidied as a function, and left so."""

    def _optimize_final_module(self) -> None:
        """Do nothing: what it calls is optimized with the whole kernel."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """There is none."""
        return 0


class _Codegen(codegen.JITCPUCodegen):
    """Keeps parts as they are; else like numba's own, for this processor."""

    _library_class = _Part

    def _get_host_cpu_features(self) -> Any:
        """What :func:`~hsnn_targets.emulator.tiers.usable_tiers` sees: numba leaves AVX out on some processors."""
        if numba_is_told():
            return cast("Any", super())._get_host_cpu_features()
        return binding.get_host_cpu_features().flatten()

    def set_env(self, env_name: str, env: object) -> None:
        """Do nothing: kernels have no Python in them."""

    def object_of(self, module: Any) -> bytes:
        """Optimize a whole module whose only visible function is the entry, and make an object file of it."""
        for function in module.functions:
            if not function.is_declaration and function.name != ENTRY:
                function.linkage = "internal"
        options = binding.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization, options.slp_vectorization = True, False  # what numba does, too
        options.loop_unrolling = False
        builder = binding.create_pass_builder(self._tm, options)
        builder.getModulePassManager().run(module, builder)
        return bytes(self._tm.emit_object(module))


def compile_kernel(module: str, name: str, kinds: Sequence[Kind]) -> bytes:
    """Compile a kernel.

    Args:
        module: Name of its module.
        name: Its name there; :func:`hsnn_targets.emulator.jit.kernel` marks it.
        kinds: Kinds of its arguments.

    Returns:
        An object file for this processor. Its function ``ENTRY`` takes the words of the arguments.
    """
    dispatcher = getattr(import_module(module), name)
    arguments = tuple(numba_type(kind) for kind in kinds)
    with global_compiler_lock, _parts() as generator:
        dispatcher.compile(arguments)
        compiled = dispatcher.overloads[arguments]
        library = cast("Any", generator).create_library(ENTRY)
        library.add_ir_module(_entry(library.create_ir_module(ENTRY), compiled, arguments))
        library.add_linking_library(compiled.library)
        library.finalize()
        return generator.object_of(library._final_module)


def numba_type(kind: Kind) -> Any:
    """Numba's type of an argument."""
    if not isinstance(kind, tuple):
        return types.none if kind is None else types.boolean if kind is bool else types.int64
    first, second = kind
    if isinstance(first, np.dtype):
        return types.Array(numba.from_dtype(first), second, "C")
    parts = [numba_type(part) for part in second]
    return types.NamedTuple(parts, first) if hasattr(first, "_fields") else types.Tuple(parts)


@contextmanager
def _parts() -> Iterator[_Codegen]:
    """While this lasts, numba translates functions for kernels only; its lock keeps other threads out."""
    context = cpu_target.target_context
    context.refresh()
    before, generator = context._internal_codegen, cast("Any", _Codegen)(__name__)
    context._internal_codegen = generator
    try:
        yield generator
    finally:
        context._internal_codegen = before


def _entry(module: Any, compiled: Any, arguments: Sequence[Any]) -> Any:
    """Add the function that puts the arguments together from words and calls the kernel."""
    context = cpu_target.target_context
    function = ir.Function(module, ir.FunctionType(INT, [LONG.as_pointer()]), ENTRY)
    builder = ir.IRBuilder(function.append_basic_block())
    words = _Words(context, builder, function.args[0])
    values = [words.value(kind) for kind in arguments]
    kernel = context.declare_function(module, compiled.fndesc)
    status, _ = context.call_conv.call_function(
        builder, kernel, compiled.signature.return_type, tuple(arguments), values
    )
    builder.ret(status.code)
    return module


class _Words:
    """Reads words in order; the other side of :func:`hsnn_targets.emulator.arguments.take_apart`."""

    def __init__(self, context: Any, builder: Builder, base: Value) -> None:
        self._context, self._builder, self._base = context, builder, base
        self._read = 0

    def word(self) -> Value:
        place = self._builder.gep(self._base, [LONG(self._read)])
        self._read += 1
        return self._builder.load(place)

    def value(self, kind: Any) -> Value:
        if isinstance(kind, types.Array):
            return self._array(kind)
        if isinstance(kind, types.BaseTuple):
            return self._context.make_tuple(self._builder, kind, [self.value(part) for part in kind.types])
        if kind is types.none:
            return self._context.get_dummy_value()
        word = self.word()
        return self._builder.icmp_unsigned("!=", word, LONG(0)) if kind is types.boolean else word

    def _array(self, kind: Any) -> Value:
        context, builder = self._context, self._builder
        element = context.get_data_type(kind.dtype)
        data = builder.inttoptr(self.word(), element.as_pointer())
        shape = [self.word() for _ in range(kind.ndim)]
        size = LONG(context.get_abi_sizeof(element))
        strides = [size]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        array = _arrays.make_array(kind)(context, builder)
        _arrays.populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
        return array._getvalue()
