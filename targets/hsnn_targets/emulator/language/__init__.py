"""The language that kernels are written in: a part of Python that becomes LLVM's code without detours.

Functions marked in :mod:`hsnn_targets.emulator.jit` are read as syntax trees and written down as LLVM's instructions
for the types that they are called with (:mod:`~hsnn_targets.emulator.language.functions`). There are integers, floats,
flags, arrays, their rows and slices, records, named tuples, None; arithmetic, comparisons, conditions, ``for`` over
ranges, ``while``, calls of marked functions and of intrinsics. Everything else is an error that names the place.

Where it differs from Python, and what is promised all the same:

- Integers have 64 bits and wrap; they have fewer only where they are cast (``np.int8(x)``), stored or returned. Where
  both operands lack a sign the result does, too. A ``uint64`` meets only its like and constants that are not negative.
- ``//`` and ``%`` round as Python's do; dividing by 0 divides by 1. Only the lowest six bits of a shift count. What of
  this is known to have no meaning (``x // 0``, ``x << 64``) is refused.
- Floats have 64 bits; beside one an integer becomes one. They are cast to integers toward zero and stop at the ends of
  the type; what is no number becomes 0. A name holds floats or integers, never both.
- ``and`` and ``or`` give flags: of other operands only in conditions. In ``a < b < c`` all three are calculated.
- A name has one type in a function, the widest of what it is given. Before it is given anything it is 0.
- Indices are not checked and do not count from the end; ends of slices lie within the array; a step of ``range`` that
  is no constant is positive, and its end and a step together fit 64 bits. Where code is compiled ``checked``, an index,
  a slice or a step that breaks this stops the process.
- A result has the type that the function declares. Constants of modules are those at the time of compilation.

``tests/support/kernel_meaning.py`` says the same as a program, which random kernels are held against.
"""
