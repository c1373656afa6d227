"""Make machine code of kernels: their functions become one module of LLVM's, of which only the entry can be seen.

LLVM puts the small functions into their callers, optimizes the whole for this processor, and writes an object file.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from llvmlite import binding, ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.arguments import Kind
from hsnn_targets.emulator.language.functions import Unit
from hsnn_targets.emulator.language.types import FLAG_TYPE, Array, Group, Nothing, Number, Type, Typed, group, type_of
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value
from hsnn_targets.emulator.objects import ENTRY, target


def compile_kernel(module: str, name: str, kinds: Sequence[Kind], *, checked: bool = False) -> bytes:
    """Compile a kernel.

    Args:
        module: Name of its module.
        name: Its name there; :func:`hsnn_targets.emulator.jit.kernel` marks it.
        kinds: Kinds of its arguments.
        checked: Whether code looks at every index, and stops the process at one that lies outside of its array.

    Returns:
        An object file for this processor. Its function ``ENTRY`` takes the words of the arguments.

    Raises:
        TypeError: If a function has something in it that the language lacks; that is an error of its author.
    """
    unit = Unit(checked)
    unit.module.triple = binding.get_process_triple()
    function = ir.Function(unit.module, ir.FunctionType(INT, [LONG.as_pointer()]), ENTRY)
    builder = ir.IRBuilder(function.append_basic_block())
    words = _Words(builder, function.args[0])
    unit.call(builder, getattr(import_module(module), name), [words.value(type_of(kind)) for kind in kinds])
    builder.ret(INT(0))
    return _object_of(str(unit.module))


def _object_of(code: str) -> bytes:
    """Optimize a module and make an object file of it."""
    machine = target(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
    )
    module = binding.parse_assembly(code)
    module.data_layout = str(machine.target_data)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization, options.slp_vectorization = True, False
    options.loop_unrolling = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


class _Words:
    """Reads words in order; the other side of :func:`hsnn_targets.emulator.arguments.take_apart`."""

    def __init__(self, builder: Builder, base: Value) -> None:
        self._builder, self._base = builder, base
        self._read = 0

    def word(self) -> Value:
        place = self._builder.gep(self._base, [LONG(self._read)])
        self._read += 1
        return self._builder.load(place)

    def value(self, kind: Type) -> Typed:
        match kind:
            case Array():
                data = self._builder.inttoptr(self.word(), kind.code[0])
                return Typed(kind, (data, *[self.word() for _ in range(kind.axes)]))
            case Group():
                return group(kind.kind, [self.value(part) for part in kind.parts])
            case Nothing():
                return Typed(kind)
            case Number() if kind == FLAG_TYPE:
                return Typed(kind, (self._builder.icmp_unsigned("!=", self.word(), LONG(0)),))
        return Typed(kind, (self.word(),))
