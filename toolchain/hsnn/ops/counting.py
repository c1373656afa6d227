"""Neurons that may send several spikes in one timestep, and whose voltage has a floor."""

from __future__ import annotations

from hsnn.ops.leak import DECAY_INPUT, INTEGRATE, LEAK
from hsnn.ops.spec import Attribute, OpSpec

NO_FLOOR = -float.fromhex("0x1.fffffep+127")
"""A ``v_min`` that no voltage reaches: the lowest number of float32."""
MOST_SPIKES = (1 << 23) - 1
"""As often as the largest voltage of a chip (``hsnn.ir.arithmetic.VOLTAGE_MAX``) holds a threshold of one."""
INPUTS = ("x", "current_decay", "voltage_decay", "threshold", "bias", "v_min")
ATTRIBUTES = (
    Attribute("reset", "string", choices=("zero", "subtract")),
    Attribute("max_spikes", "int", MOST_SPIKES, minimum=1, maximum=MOST_SPIKES),
    DECAY_INPUT,
)
_CHOICES = """
        reset = Constant <value_string: string = @reset> ()
        zero_word = Constant <value_string = "zero"> ()
        to_zero = Equal (reset, zero_word)
        limit = Constant <value_int: int = @max_spikes> ()
        most = Cast <to = 1> (limit)
"""
_COUNT = """
            v_open = Add (leaked, bias)
            ratio = Div (v_open, threshold)
            whole = Floor (ratio)
            positive = Max (whole, zero)
            spike = Min (positive, most)
            silent = Equal (spike, zero)
            v_zero = Where (silent, v_open, zero)
            taken = Mul (spike, threshold)
            v_less = Sub (v_open, taken)
            v_after = Where (to_zero, v_zero, v_less)
            v_next = Max (v_after, v_min)
            spike_out = Identity (spike)
"""

COUNTING_LIF = OpSpec(
    "CountingLif",
    "neuron",
    INPUTS,
    ATTRIBUTES,
    "same",
    "binary_if_single",
    f"""{{{LEAK}{_CHOICES}
        u_end, v_end, s = Scan <num_scan_inputs = 1, body = counting_lif_step
                (float[] u, float[] v, float[] a)
                => (float[] u_next, float[] v_next, float[] spike_out) {{{INTEGRATE}{_COUNT}        }}> (rest, rest, x)
    }}""",
)
"""LIF that counts; :class:`hsnn.nn.CountingLif` has the equations."""

RECURRENT_COUNTING_LIF = OpSpec(
    "RecurrentCountingLif",
    "neuron",
    (*INPUTS, "recurrent_weight"),
    ATTRIBUTES,
    "same",
    "binary_if_single",
    f"""{{{LEAK}{_CHOICES}
        to_post = Transpose <perm = [1, 0]> (recurrent_weight)
        u_end, v_end, s_end, s = Scan <num_scan_inputs = 1, body = recurrent_counting_lif_step
                (float[] u, float[] v, float[] spike_before, float[] x_t)
                => (float[] u_next, float[] v_next, float[] spike, float[] spike_out) {{
            back = MatMul (spike_before, to_post)
            a = Add (x_t, back){INTEGRATE}{_COUNT}        }}> (rest, rest, rest, x)
    }}""",
)
"""As ``CountingLif`` with input ``x[t] + recurrent_weight @ s[t - 1]``; weight is ``(post, pre)``, features 1-D."""

COUNTING_NEURONS = (COUNTING_LIF, RECURRENT_COUNTING_LIF)
