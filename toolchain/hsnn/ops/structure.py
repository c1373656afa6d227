"""Operators that move time about and compute nothing."""

from __future__ import annotations

from hsnn.ops.spec import MOST_TIMESTEPS, TIMESTEPS, Attribute, OpSpec

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
    (Attribute("steps", "int", minimum=0, maximum=MOST_TIMESTEPS),),
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

AXONAL_DELAY = OpSpec(
    "AxonalDelay",
    "structure",
    ("x", "steps"),
    (),
    "same",
    "as_input",
    """{
        zero = Constant <value_float = 0.0> ()
        first = Constant <value_int = 0> ()
        next = Constant <value_int = 1> ()
        column_shape = Constant <value_ints = [-1, 1, 1]> ()
        row_shape = Constant <value_ints = [1, 1, -1]> ()
        x_shape = Shape (x)
        lead = Shape <end = 2> (x)
        feature = Shape <start = 2> (x)
        features = ReduceProd <keepdims = 1> (feature)
        flat_shape = Concat <axis = 0> (lead, features)
        flat = Reshape (x, flat_shape)
        each = Expand (steps, feature)
        whole = Cast <to = 7> (each)
        row = Reshape (whole, row_shape)
        length = Shape <end = 1> (x)
        timesteps = Squeeze (length)
        time = Range (first, timesteps, next)
        column = Reshape (time, column_shape)
        sent_at = Sub (column, row)
        early = Less (sent_at, first)
        index = Max (sent_at, first)
        indices = Expand (index, flat_shape)
        taken = GatherElements <axis = 0> (flat, indices)
        arrived = Where (early, zero, taken)
        s = Reshape (arrived, x_shape)
    }""",
)
"""``s[t, b, f] = x[t - steps[f], b, f]``, zero before: what each neuron sends travels for its own time."""

STRUCTURE: tuple[OpSpec, ...] = (MERGE_TIME, SPLIT_TIME, DELAY, AXONAL_DELAY)
