"""Encoders: a tensor ``(batch, *feature)`` becomes a spike train ``(timestep, batch, *feature)``."""

from __future__ import annotations

from hsnn.ops.spec import FLAG, TIMESTEPS, Attribute, OpSpec

SCALE = Attribute("scale", "float", 1.0, above=0)

RATE_ENCODE = OpSpec(
    "RateEncode",
    "encoder",
    ("x",),
    (
        TIMESTEPS,
        SCALE,
        Attribute("initial", "float", 0.0, minimum=0, below=1),
        Attribute("silent", "int", 0, minimum=0),
    ),
    "add_time",
    "binary",
    """{
        timesteps = Constant <value_int: int = @timesteps> ()
        silent = Constant <value_int: int = @silent> ()
        scale = Constant <value_float: float = @scale> ()
        initial = Constant <value_float: float = @initial> ()
        zero = Constant <value_float = 0.0> ()
        one = Constant <value_float = 1.0> ()
        first = Constant <value_int = 0> ()
        next = Constant <value_int = 1> ()
        scaled = Div (x, scale)
        a = Clip (scaled, zero, one)
        shape = Shape (x)
        start = Expand (initial, shape)
        time = Range (first, timesteps, next)
        active_steps = Sub (timesteps, silent)
        active = Less (time, active_steps)
        end, s = Scan <num_scan_inputs = 1, body = rate_step (float[] sum, bool[] on) => (float[] rest, float[] spike) {
            total = Add (sum, a)
            reached = GreaterOrEqual (total, one)
            fire = And (reached, on)
            spike = Cast <to = 1> (fire)
            rest = Sub (total, spike)
        }> (start, active)
    }""",
)
"""``a = clip(x / scale, 0, 1)``; ``S += a; s = [S >= 1]; S -= s``; the last ``silent`` steps are zero."""

POISSON_ENCODE = OpSpec(
    "PoissonEncode",
    "encoder",
    ("x",),
    (TIMESTEPS, SCALE, Attribute("seed", "int", minimum=0, maximum=2**31 - 2)),
    "add_time",
    "binary",
    """{
        timesteps = Constant <value_int: int = @timesteps> ()
        scale = Constant <value_float: float = @scale> ()
        seed = Constant <value_int: int = @seed> ()
        zero = Constant <value_float = 0.0> ()
        one = Constant <value_float = 1.0> ()
        first = Constant <value_int = 0> ()
        next = Constant <value_int = 1> ()
        low_bits = Constant <value_int = 128> ()
        unit = Constant <value_float = 5.9604644775390625e-08> ()
        time_axis = Constant <value_ints = [0]> ()
        batch_axis = Constant <value_ints = [1]> ()
        scaled = Div (x, scale)
        p = Clip (scaled, zero, one)
        feature = Shape <start = 1> (x)
        features = ReduceProd <keepdims = 0> (feature)
        index = Range (first, features, next)
        time = Range (first, timesteps, next)
        key = hsnn.Mix (seed)
        key_time = Add (key, time)
        mixed_time = hsnn.Mix (key_time)
        mixed_index = hsnn.Mix (index)
        column = Unsqueeze (mixed_time, batch_axis)
        counter = Add (column, mixed_index)
        hash = hsnn.Mix (counter)
        high = Div (hash, low_bits)
        high_float = Cast <to = 1> (high)
        r_flat = Mul (high_float, unit)
        steps = Shape <end = 1> (r_flat)
        r_shape = Concat <axis = 0> (steps, batch_axis, feature)
        r = Reshape (r_flat, r_shape)
        p_time = Unsqueeze (p, time_axis)
        below = Less (r, p_time)
        s = Cast <to = 1> (below)
    }""",
)
"""``s = [r[t, feature] < clip(x / scale, 0, 1)]`` with ``r`` from :func:`hsnn.ops.noise.counter_noise`."""

DIRECT_ENCODE = OpSpec(
    "DirectEncode",
    "encoder",
    ("x",),
    (TIMESTEPS,),
    "add_time",
    "graded",
    """{
        timesteps = Constant <value_int: int = @timesteps> ()
        time_axis = Constant <value_ints = [0]> ()
        one_step = Unsqueeze (x, time_axis)
        steps = Unsqueeze (timesteps, time_axis)
        shape = Shape (x)
        out_shape = Concat <axis = 0> (steps, shape)
        s = Expand (one_step, out_shape)
    }""",
)
"""``s[t] = x`` at every timestep: a constant current."""

GRADED_ENCODE = OpSpec(
    "GradedEncode",
    "encoder",
    ("x",),
    (
        TIMESTEPS,
        Attribute("step", "float", above=0),
        Attribute("bits", "int", 8, minimum=1, maximum=24),
        Attribute("signed", "int", 0, choices=FLAG),
    ),
    "add_time",
    "graded",
    """{
        timesteps = Constant <value_int: int = @timesteps> ()
        step = Constant <value_float: float = @step> ()
        bits = Constant <value_int: int = @bits> ()
        signed = Constant <value_int: int = @signed> ()
        zero = Constant <value_float = 0.0> ()
        one = Constant <value_float = 1.0> ()
        two = Constant <value_float = 2.0> ()
        next = Constant <value_int = 1> ()
        time_axis = Constant <value_ints = [0]> ()
        magnitude_bits = Sub (bits, signed)
        exponent = Cast <to = 1> (magnitude_bits)
        limit = Pow (two, exponent)
        sign = Cast <to = 1> (signed)
        below = Mul (limit, sign)
        low = Sub (zero, below)
        high = Sub (limit, one)
        ratio = Div (x, step)
        rounded = Round (ratio)
        payload = Clip (rounded, low, high)
        value = Mul (payload, step)
        first = Unsqueeze (value, time_axis)
        rest_steps = Sub (timesteps, next)
        rest_axis = Unsqueeze (rest_steps, time_axis)
        shape = Shape (x)
        rest_shape = Concat <axis = 0> (rest_axis, shape)
        rest = Expand (zero, rest_shape)
        s = Concat <axis = 0> (first, rest)
    }""",
)
"""``s[0] = step * clip(round_half_even(x / step), low, high)``, later steps zero; low and high are those of
an unsigned or two's-complement integer of ``bits`` bits."""

BIT_PLANE_ENCODE = OpSpec(
    "BitPlaneEncode",
    "encoder",
    ("x",),
    (
        Attribute("planes", "int", 8, minimum=1, maximum=24),
        Attribute("order", "string", choices=("lsb", "msb")),
        Attribute("floor_lsb", "int", choices=FLAG),
        Attribute("rescale", "string", choices=("none", "static", "per_sample", "batch")),
        Attribute("low", "float", 0.0),
        Attribute("high", "float", 1.0),
    ),
    "add_time",
    "binary_if_floor_lsb",
    """{
        planes = Constant <value_int: int = @planes> ()
        order = Constant <value_string: string = @order> ()
        floor_lsb = Constant <value_int: int = @floor_lsb> ()
        rescale = Constant <value_string: string = @rescale> ()
        low = Constant <value_float: float = @low> ()
        high = Constant <value_float: float = @high> ()
        zero = Constant <value_float = 0.0> ()
        half = Constant <value_float = 0.5> ()
        one = Constant <value_float = 1.0> ()
        two = Constant <value_float = 2.0> ()
        first = Constant <value_int = 0> ()
        next = Constant <value_int = 1> ()
        time_axis = Constant <value_ints = [0]> ()
        batch_word = Constant <value_string = "batch"> ()
        none_word = Constant <value_string = "none"> ()
        static_word = Constant <value_string = "static"> ()
        msb_word = Constant <value_string = "msb"> ()
        shape = Shape (x)
        rank = Size (shape)

        static_range = Sub (high, low)
        static_offset = Sub (x, low)
        static_ratio = Div (static_offset, static_range)
        static_x = Clip (static_ratio, zero, one)

        whole_batch = Equal (rescale, batch_word)
        from_axis = Where (whole_batch, first, next)
        axes = Range (from_axis, rank, next)
        smallest = ReduceMin <keepdims = 1> (x, axes)
        largest = ReduceMax <keepdims = 1> (x, axes)
        from_zero = GreaterOrEqual (smallest, zero)
        to_one = LessOrEqual (largest, one)
        within = And (from_zero, to_one)
        flat = Equal (largest, smallest)
        spread = Sub (largest, smallest)
        divisor = Where (flat, one, spread)
        offset = Sub (x, smallest)
        ratio = Div (offset, divisor)
        ones_or_ratio = Where (flat, one, ratio)
        seen_x = Where (within, x, ones_or_ratio)

        as_is = Equal (rescale, none_word)
        is_static = Equal (rescale, static_word)
        known_x = Where (is_static, static_x, seen_x)
        rescaled = Where (as_is, x, known_x)

        planes_float = Cast <to = 1> (planes)
        full = Pow (two, planes_float)
        levels = Sub (full, one)
        z = Mul (rescaled, levels)
        z_floor = Floor (z)
        floored = Cast <to = 9> (floor_lsb)
        z_first = Where (floored, z_floor, z)

        position = Range (first, planes, next)
        last = Sub (planes, next)
        mirrored = Sub (last, position)
        backwards = Equal (order, msb_word)
        k = Where (backwards, mirrored, position)
        k_float = Cast <to = 1> (k)
        power = Pow (two, k_float)
        plane_axis = Unsqueeze (planes, time_axis)
        rank_axis = Unsqueeze (rank, time_axis)
        ones_shape = Expand (next, rank_axis)
        plane_shape = Concat <axis = 0> (plane_axis, ones_shape)
        power_column = Reshape (power, plane_shape)
        k_column = Reshape (k, plane_shape)
        z_time = Unsqueeze (z, time_axis)
        z_first_time = Unsqueeze (z_first, time_axis)
        shifted = Div (z_time, power_column)
        shifted_floor = Floor (shifted)
        is_first = Equal (k_column, first)
        z_k = Where (is_first, z_first_time, shifted_floor)
        halved = Mul (z_k, half)
        pairs = Floor (halved)
        even = Mul (pairs, two)
        s = Sub (z_k, even)
    }""",
)
"""``z = levels * x'``; plane ``k`` is ``floor(z / 2**k) mod 2``, plane 0 is ``z mod 2`` unless floored first.

Source: HAS-8, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc.
"""

TRAIN_ENCODE = OpSpec(
    "TrainEncode",
    "encoder",
    ("x",),
    (TIMESTEPS, Attribute("values", "string", choices=("binary", "graded"))),
    "time_first",
    "by_values",
    """{
        values = Constant <value_string: string = @values> ()
        binary_word = Constant <value_string = "binary"> ()
        zero = Constant <value_float = 0.0> ()
        one = Constant <value_float = 1.0> ()
        nothing = Constant <value_float = nan> ()
        feature = Shape <start = 2> (x)
        batch = Shape <end = 1> (x)
        steps = Shape <start = 1, end = 2> (x)
        features = ReduceProd <keepdims = 1> (feature)
        flat_shape = Concat <axis = 0> (batch, steps, features)
        flat = Reshape <allowzero = 1> (x, flat_shape)
        turned = Transpose <perm = [1, 0, 2]> (flat)
        out_shape = Concat <axis = 0> (steps, batch, feature)
        train = Reshape <allowzero = 1> (turned, out_shape)
        is_zero = Equal (train, zero)
        is_one = Equal (train, one)
        is_spike = Or (is_zero, is_one)
        any_value = Equal (values, binary_word)
        graded = Not (any_value)
        allowed = Or (is_spike, graded)
        s = Where (allowed, train, nothing)
    }""",
)
"""``s[t, b] = x[b, t]``: the input is a spike train already. With ``values`` ``binary``, whatever is neither 0 nor 1
becomes NaN, so that it is seen wherever the train goes."""

ENCODERS: tuple[OpSpec, ...] = (
    RATE_ENCODE,
    POISSON_ENCODE,
    DIRECT_ENCODE,
    GRADED_ENCODE,
    BIT_PLANE_ENCODE,
    TRAIN_ENCODE,
)
