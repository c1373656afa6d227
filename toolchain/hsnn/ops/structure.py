"""Operators that move time about and compute nothing."""

from __future__ import annotations

from hsnn.ops.spec import TIMESTEPS, Attribute, OpSpec

MERGE_TIME = OpSpec(
    "MergeTime",
    "structure",
    ("x",),
    (),
    "merge_time",
    "as_input",
    """{
        steps = Shape <end = 1> (x)
        batch = Shape <start = 1, end = 2> (x)
        feature = Shape <start = 2> (x)
        rows = Mul (steps, batch)
        out_shape = Concat <axis = 0> (rows, feature)
        s = Reshape <allowzero = 1> (x, out_shape)
    }""",
)
"""``(timestep, batch, *feature)`` to ``(timestep * batch, *feature)``."""

SPLIT_TIME = OpSpec(
    "SplitTime",
    "structure",
    ("x",),
    (TIMESTEPS,),
    "split_time",
    "as_input",
    """{
        timesteps = Constant <value_int: int = @timesteps> ()
        time_axis = Constant <value_ints = [0]> ()
        steps = Unsqueeze (timesteps, time_axis)
        rows = Shape <end = 1> (x)
        feature = Shape <start = 1> (x)
        batch = Div (rows, steps)
        out_shape = Concat <axis = 0> (steps, batch, feature)
        s = Reshape <allowzero = 1> (x, out_shape)
    }""",
)
"""``(timestep * batch, *feature)`` back to ``(timestep, batch, *feature)``."""

DELAY = OpSpec(
    "Delay",
    "structure",
    ("x",),
    (Attribute("steps", "int", minimum=0),),
    "same",
    "as_input",
    """{
        steps = Constant <value_int: int = @steps> ()
        zero = Constant <value_float = 0.0> ()
        time_axis = Constant <value_ints = [0]> ()
        added = Unsqueeze (steps, time_axis)
        sample_shape = Shape <start = 1> (x)
        silence_shape = Concat <axis = 0> (added, sample_shape)
        silence = Expand (zero, silence_shape)
        longer = Concat <axis = 0> (silence, x)
        length = Shape <end = 1> (x)
        s = Slice (longer, time_axis, length, time_axis)
    }""",
)
"""``s[t] = x[t - steps]``, zero before."""

STRUCTURE: tuple[OpSpec, ...] = (MERGE_TIME, SPLIT_TIME, DELAY)
