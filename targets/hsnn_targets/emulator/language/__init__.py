"""The language that kernels are written in: a part of Python that becomes LLVM's code without detours.

Functions marked in :mod:`hsnn_targets.emulator.jit` are read as syntax trees and written down as LLVM's instructions
for the types that they are called with (:mod:`~hsnn_targets.emulator.language.functions`). There are integers, floats,
flags, arrays, their rows and slices, records, named tuples, None; arithmetic, comparisons, conditions, ``for`` over
ranges, ``while``, calls of marked functions and of intrinsics. Everything else is an error that names the place.

Where it differs from Python: integers have 64 bits, or as many as they are cast to, and wrap; a division by zero has no
meaning but does no harm; indices are not checked and do not count from the end; ends of slices lie within the array; a
result has the type that the function declares; a step of ``range`` that is no constant is positive.
"""
