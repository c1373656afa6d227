"""Neurons whose states are numbers of fixed point already in float, as lava-dl trains them.

They are the neurons of :mod:`hsnn.ops.neurons` and :mod:`hsnn.ops.sigma_delta` with one more rule: input, and what a
state keeps from one timestep to the next, are rounded toward zero to whole multiples of ``resolution``. Products of a
state of 24 bits and a decay of 12 bits do not fit float32, so these are formed in float64. Source: the neurons of
slayer, lava-dl 0.6.0 (``slayer/neuron/dynamics``, ``slayer/axon/delta.py``).
"""

from __future__ import annotations

from hsnn.ops.neurons import ADAPT
from hsnn.ops.resonators import FIXED_RESONATE_FIRE, RESOLUTION
from hsnn.ops.sigma_delta import CHOOSE_ACTIVATION, SUM, due
from hsnn.ops.spec import Attribute, OpSpec

_COMPARISON = Attribute("comparison", "string", choices=(">", ">="))

_START = """
        one = Constant <value_float = 1.0> ()
        zero = Constant <value_float = 0.0> ()
        resolution = Constant <value_float: float = @resolution> ()
        unit = Cast <to = 11> (resolution)
        state_shape = Shape <start = 1> (x)
        rest = Expand (zero, state_shape)
"""
_DECAYS = """
        lasting_u = Sub (one, current_decay)
        lasting_v = Sub (one, voltage_decay)
        keep_u = Cast <to = 11> (lasting_u)
        keep_v = Cast <to = 11> (lasting_v)
"""


def _kept(state: str) -> str:
    """Multiply a state by ``keep_<state>`` and round it; the result is ``<state>_left``, float64."""
    return f"""
            {state}_wide = Cast <to = 11> ({state})
            {state}_part = Mul (keep_{state}, {state}_wide)
            {state}_cut = Mod <fmod = 1> ({state}_part, unit)
            {state}_left = Sub ({state}_part, {state}_cut)"""


_INTEGRATE = f"""{_kept("u")}{_kept("v")}
            a_wide = Cast <to = 11> (a)
            a_cut = Mod <fmod = 1> (a_wide, unit)
            a_left = Sub (a_wide, a_cut)
            u_sum = Add (u_left, a_left)
            u_next = Cast <to = 1> (u_sum)
            v_sum = Add (v_left, u_sum)
            leaked = Cast <to = 1> (v_sum)
            v_in = Add (leaked, bias)
"""
_CHOICE = """
        comparison = Constant <value_string: string = @comparison> ()
        reach_word = Constant <value_string = ">="> ()
        at_threshold = Equal (comparison, reach_word)
"""
_FIRE = """
            above = Greater (v_in, threshold)
            level = Equal (v_in, threshold)
            level_counts = And (level, at_threshold)
            fire = Or (above, level_counts)
            v_next = Where (fire, zero, v_in)
            spike = Cast <to = 1> (fire)
"""

FIXED_LIF = OpSpec(
    "FixedLif",
    "neuron",
    ("x", "current_decay", "voltage_decay", "threshold", "bias"),
    (_COMPARISON, RESOLUTION),
    "same",
    "binary",
    f"""{{{_START}{_DECAYS}{_CHOICE}
        u_end, v_end, s = Scan <num_scan_inputs = 1, body = fixed_lif_step
                (float[] u, float[] v, float[] a) => (float[] u_next, float[] v_next, float[] spike) {{
{_INTEGRATE}{_FIRE}
        }}> (rest, rest, x)
    }}""",
)
"""``Lif`` with reset to zero, on a grid."""

FIXED_RECURRENT_LIF = OpSpec(
    "FixedRecurrentLif",
    "neuron",
    ("x", "current_decay", "voltage_decay", "threshold", "bias", "recurrent_weight"),
    (_COMPARISON, RESOLUTION),
    "same",
    "binary",
    f"""{{{_START}{_DECAYS}{_CHOICE}
        to_post = Transpose <perm = [1, 0]> (recurrent_weight)
        u_end, v_end, s_end, s = Scan <num_scan_inputs = 1, body = fixed_recurrent_lif_step
                (float[] u, float[] v, float[] spike_before, float[] x_t)
                => (float[] u_next, float[] v_next, float[] spike, float[] spike_out) {{
            back = MatMul (spike_before, to_post)
            a = Add (x_t, back){_INTEGRATE}{_FIRE}
            spike_out = Identity (spike)
        }}> (rest, rest, rest, x)
    }}""",
)
"""``RecurrentLif`` with reset to zero, on a grid."""

_ADAPTIVE_INPUTS = (
    *("x", "current_decay", "voltage_decay", "threshold", "bias"),
    *("threshold_decay", "refractory_decay", "threshold_step"),
)
_ADAPTIVE_START = f"""{_START}{_DECAYS}
        lasting_raised = Sub (one, threshold_decay)
        lasting_refractory = Sub (one, refractory_decay)
        keep_raised = Cast <to = 11> (lasting_raised)
        keep_refractory = Cast <to = 11> (lasting_refractory)
"""
_ADAPT = f"""{_INTEGRATE}{_kept("raised")}{_kept("refractory")}
            v_next = Identity (v_in)
            raised_kept = Cast <to = 1> (raised_left)
            refractory_kept = Cast <to = 1> (refractory_left)
{ADAPT}"""

FIXED_ADAPTIVE_LIF = OpSpec(
    "FixedAdaptiveLif",
    "neuron",
    _ADAPTIVE_INPUTS,
    (RESOLUTION,),
    "same",
    "binary",
    f"""{{{_ADAPTIVE_START}
        u_end, v_end, raised_end, refractory_end, s = Scan <num_scan_inputs = 1, body = fixed_adaptive_lif_step
                (float[] u, float[] v, float[] raised, float[] refractory, float[] a)
                => (float[] u_next, float[] v_next, float[] raised_next, float[] refractory_next, float[] spike) {{
{_ADAPT}        }}> (rest, rest, rest, rest, x)
    }}""",
)
"""``AdaptiveLif`` on a grid."""

FIXED_RECURRENT_ADAPTIVE_LIF = OpSpec(
    "FixedRecurrentAdaptiveLif",
    "neuron",
    (*_ADAPTIVE_INPUTS, "recurrent_weight"),
    (RESOLUTION,),
    "same",
    "binary",
    f"""{{{_ADAPTIVE_START}
        to_post = Transpose <perm = [1, 0]> (recurrent_weight)
        u_end, v_end, raised_end, refractory_end, s_end, s = Scan
                <num_scan_inputs = 1, body = fixed_recurrent_adaptive_lif_step
                (float[] u, float[] v, float[] raised, float[] refractory, float[] spike_before, float[] x_t)
                => (float[] u_next, float[] v_next, float[] raised_next, float[] refractory_next, float[] spike,
                    float[] spike_out) {{
            back = MatMul (spike_before, to_post)
            a = Add (x_t, back)
{_ADAPT}            spike_out = Identity (spike)
        }}> (rest, rest, rest, rest, rest, x)
    }}""",
)
"""``FixedAdaptiveLif`` whose spikes come back."""

FIXED_LEAKY_INTEGRATOR = OpSpec(
    "FixedLeakyIntegrator",
    "neuron",
    ("x", "current_decay", "voltage_decay", "bias"),
    (RESOLUTION,),
    "same",
    "real",
    f"""{{{_START}{_DECAYS}
        u_end, v_end, s = Scan <num_scan_inputs = 1, body = fixed_integrator_step
                (float[] u, float[] v, float[] a) => (float[] u_next, float[] v_next, float[] v_out) {{
{_INTEGRATE}
            v_next = Identity (v_in)
            v_out = Identity (v_in)
        }}> (rest, rest, x)
    }}""",
)
"""``LeakyIntegrator`` on a grid."""

_ENCODE = f"""{due("wanted")}
            steps = Div (wanted, resolution)
            whole = Floor (steps)
            message = Mul (whole, resolution)
            sent_next = Add (sent, wanted)
            message_out = Identity (message)
"""

FIXED_DELTA = OpSpec(
    "FixedDelta",
    "neuron",
    ("x", "threshold"),
    (RESOLUTION,),
    "same",
    "graded",
    f"""{{{_START}
        sent_end, s = Scan <num_scan_inputs = 1, body = fixed_delta_step
                (float[] sent, float[] act) => (float[] sent_next, float[] message_out) {{{_ENCODE}
        }}> (rest, x)
    }}""",
)
"""``Delta`` whose messages are rounded down to a grid; what that cuts off is never sent."""

FIXED_SIGMA_DELTA = OpSpec(
    "FixedSigmaDelta",
    "neuron",
    ("x", "threshold", "bias"),
    (Attribute("activation", "string", choices=("relu", "identity")), RESOLUTION),
    "same",
    "graded",
    f"""{{{_START}
{CHOOSE_ACTIVATION}        sigma_end, sent_end, s = Scan <num_scan_inputs = 1, body = fixed_sigma_delta_step
                (float[] sigma, float[] sent, float[] a)
                => (float[] sigma_next, float[] sent_next, float[] message_out) {{
{SUM}{_ENCODE}
        }}> (rest, rest, x)
    }}""",
)
"""``SigmaDelta`` whose messages are rounded down to a grid; what that cuts off is never sent."""

FIXED_NEURONS: tuple[OpSpec, ...] = (
    FIXED_LIF,
    FIXED_RECURRENT_LIF,
    FIXED_ADAPTIVE_LIF,
    FIXED_RECURRENT_ADAPTIVE_LIF,
    FIXED_LEAKY_INTEGRATOR,
    FIXED_RESONATE_FIRE,
    FIXED_DELTA,
    FIXED_SIGMA_DELTA,
)
