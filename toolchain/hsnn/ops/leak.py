"""Lines that neurons of several kinds share: how their current and voltage leak and take input."""

from __future__ import annotations

from hsnn.ops.spec import FLAG, Attribute

DECAY_INPUT = Attribute("decay_input", "int", 0, choices=FLAG)

LEAK = """
        one = Constant <value_float = 1.0> ()
        zero = Constant <value_float = 0.0> ()
        decay_input = Constant <value_int: int = @decay_input> ()
        keep_u = Sub (one, current_decay)
        keep_v = Sub (one, voltage_decay)
        scale_input = Cast <to = 9> (decay_input)
        gain = Where (scale_input, voltage_decay, one)
        state_shape = Shape <start = 1> (x)
        rest = Expand (zero, state_shape)
"""
INTEGRATE = """
            u_kept = Mul (keep_u, u)
            u_next = Add (u_kept, a)
            v_kept = Mul (keep_v, v)
            driven = Mul (gain, u_next)
            leaked = Add (v_kept, driven)
"""
