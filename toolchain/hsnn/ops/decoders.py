"""Decoders: a spike train or voltage trace ``(timestep, batch, *feature)`` becomes ``(batch, *feature)``."""

from __future__ import annotations

from hsnn.ops.spec import Attribute, OpSpec

RATE_DECODE = OpSpec(
    "RateDecode",
    "decoder",
    ("x",),
    (),
    "drop_time",
    "real",
    """{
        time_axis = Constant <value_ints = [0]> ()
        s = ReduceMean <keepdims = 0> (x, time_axis)
    }""",
)
"""Mean over time."""

WINDOW_SUM_DECODE = OpSpec(
    "WindowSumDecode",
    "decoder",
    ("x",),
    (Attribute("start", "int", 0, minimum=0), Attribute("stop", "int", minimum=1)),
    "drop_time",
    "real",
    """{
        start = Constant <value_int: int = @start> ()
        stop = Constant <value_int: int = @stop> ()
        time_axis = Constant <value_ints = [0]> ()
        starts = Unsqueeze (start, time_axis)
        stops = Unsqueeze (stop, time_axis)
        window = Slice (x, starts, stops, time_axis)
        s = ReduceSum <keepdims = 0> (window, time_axis)
    }""",
)
"""Sum over ``start <= t < stop``."""

WEIGHTED_SUM_DECODE = OpSpec(
    "WeightedSumDecode",
    "decoder",
    ("x", "weights"),
    (Attribute("divisor", "float", 1.0),),
    "drop_time",
    "real",
    """{
        divisor = Constant <value_float: float = @divisor> ()
        next = Constant <value_int = 1> ()
        time_axis = Constant <value_ints = [0]> ()
        steps = Shape (weights)
        sample_shape = Shape <start = 1> (x)
        sample_rank = Shape (sample_shape)
        ones_shape = Expand (next, sample_rank)
        column_shape = Concat <axis = 0> (steps, ones_shape)
        column = Reshape (weights, column_shape)
        weighted = Mul (x, column)
        sum = ReduceSum <keepdims = 0> (weighted, time_axis)
        s = Div (sum, divisor)
    }""",
)
"""``sum_t weights[t] * x[t] / divisor``; ``weights`` has shape ``(timestep,)``."""

MEMBRANE_DECODE = OpSpec(
    "MembraneDecode",
    "decoder",
    ("x",),
    (Attribute("mode", "string", "last", choices=("last", "max", "mean")),),
    "drop_time",
    "real",
    """{
        mode = Constant <value_string: string = @mode> ()
        last_word = Constant <value_string = "last"> ()
        max_word = Constant <value_string = "max"> ()
        last_step = Constant <value_int = -1> ()
        time_axis = Constant <value_ints = [0]> ()
        last = Gather <axis = 0> (x, last_step)
        largest = ReduceMax <keepdims = 0> (x, time_axis)
        average = ReduceMean <keepdims = 0> (x, time_axis)
        is_last = Equal (mode, last_word)
        is_max = Equal (mode, max_word)
        max_or_mean = Where (is_max, largest, average)
        s = Where (is_last, last, max_or_mean)
    }""",
)
"""Last, largest or mean voltage over time."""

TRAIN_DECODE = OpSpec(
    "TrainDecode",
    "decoder",
    ("x",),
    (),
    "batch_first",
    "real",
    """{
        feature = Shape <start = 2> (x)
        steps = Shape <end = 1> (x)
        batch = Shape <start = 1, end = 2> (x)
        features = ReduceProd <keepdims = 1> (feature)
        flat_shape = Concat <axis = 0> (steps, batch, features)
        flat = Reshape <allowzero = 1> (x, flat_shape)
        turned = Transpose <perm = [1, 0, 2]> (flat)
        out_shape = Concat <axis = 0> (batch, steps, feature)
        s = Reshape <allowzero = 1> (turned, out_shape)
    }""",
)
"""``y[b, t] = x[t, b]``: the whole train, spikes or voltages."""

DECODERS: tuple[OpSpec, ...] = (RATE_DECODE, WINDOW_SUM_DECODE, WEIGHTED_SUM_DECODE, MEMBRANE_DECODE, TRAIN_DECODE)
