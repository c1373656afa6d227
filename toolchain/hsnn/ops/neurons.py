"""Neurons: spikes ``(timestep, batch, *feature)`` to spikes or voltages of the same shape.

A decay is the fraction that is lost per timestep: 0 is no decay, 1 is no memory. State is zero at the
start of every call. Parameters have shape () or broadcast to the feature shape.
"""

from __future__ import annotations

from hsnn.ops.counting import COUNTING_NEURONS
from hsnn.ops.leak import DECAY_INPUT, INTEGRATE, LEAK
from hsnn.ops.resonators import RESONATE_FIRE
from hsnn.ops.sigma_delta import SIGMA_DELTA_NEURONS
from hsnn.ops.spec import Attribute, OpSpec

SPIKE_ATTRIBUTES = (
    Attribute("reset", "string", choices=("zero", "subtract", "subtract_late", "none")),
    Attribute("comparison", "string", choices=(">", ">=")),
    Attribute("refractory", "int", 0, minimum=0, maximum=64),
    DECAY_INPUT,
)

_CHOICES = """
        reset = Constant <value_string: string = @reset> ()
        comparison = Constant <value_string: string = @comparison> ()
        refractory = Constant <value_int: int = @refractory> ()
        zero_word = Constant <value_string = "zero"> ()
        subtract_word = Constant <value_string = "subtract"> ()
        late_word = Constant <value_string = "subtract_late"> ()
        reach_word = Constant <value_string = ">="> ()
        to_zero = Equal (reset, zero_word)
        at_once = Equal (reset, subtract_word)
        late = Equal (reset, late_word)
        to_rest = Or (at_once, late)
        divisor = Where (late, keep_v, one)
        amount = Div (threshold, divisor)
        at_threshold = Equal (comparison, reach_word)
        silence = Cast <to = 1> (refractory)
"""
_FIRE = """
            v_open = Add (leaked, bias)
            active = LessOrEqual (wait, zero)
            v_in = Where (active, v_open, v)
            above = Greater (v_in, threshold)
            level = Equal (v_in, threshold)
            level_counts = And (level, at_threshold)
            over = Or (above, level_counts)
            fire = And (over, active)
            lowered = Sub (v_in, amount)
            v_soft = Where (to_rest, lowered, v_in)
            v_reset = Where (to_zero, zero, v_soft)
            v_next = Where (fire, v_reset, v_in)
            less = Sub (wait, one)
            waiting = Max (less, zero)
            wait_next = Where (fire, silence, waiting)
"""
ADAPT = """            level = Add (threshold, raised_kept)
            reached = Sub (v_next, refractory_kept)
            fire = GreaterOrEqual (reached, level)
            spike = Cast <to = 1> (fire)
            lift = Mul (spike, threshold_step)
            raised_next = Add (raised_kept, lift)
            twice = Add (level, level)
            push = Mul (spike, twice)
            refractory_next = Add (refractory_kept, push)
"""
"""Lines that tell whether a voltage ``v_next`` fires, from what has decayed, and what that leaves behind."""

LIF = OpSpec(
    "Lif",
    "neuron",
    ("x", "current_decay", "voltage_decay", "threshold", "bias"),
    SPIKE_ATTRIBUTES,
    "same",
    "binary",
    f"""{{{LEAK}{_CHOICES}
        u_end, v_end, wait_end, s = Scan <num_scan_inputs = 1, body = lif_step
                (float[] u, float[] v, float[] wait, float[] a)
                => (float[] u_next, float[] v_next, float[] wait_next, float[] spike) {{{INTEGRATE}{_FIRE}
            spike = Cast <to = 1> (fire)
        }}> (rest, rest, rest, x)
    }}""",
)
"""Leaky integrate-and-fire; :class:`hsnn.nn.Lif` has the equations."""

RECURRENT_LIF = OpSpec(
    "RecurrentLif",
    "neuron",
    ("x", "current_decay", "voltage_decay", "threshold", "bias", "recurrent_weight"),
    SPIKE_ATTRIBUTES,
    "same",
    "binary",
    f"""{{{LEAK}{_CHOICES}
        to_post = Transpose <perm = [1, 0]> (recurrent_weight)
        u_end, v_end, wait_end, s_end, s = Scan <num_scan_inputs = 1, body = recurrent_lif_step
                (float[] u, float[] v, float[] wait, float[] spike_before, float[] x_t)
                => (float[] u_next, float[] v_next, float[] wait_next, float[] spike, float[] spike_out) {{
            back = MatMul (spike_before, to_post)
            a = Add (x_t, back){INTEGRATE}{_FIRE}
            spike = Cast <to = 1> (fire)
            spike_out = Identity (spike)
        }}> (rest, rest, rest, rest, x)
    }}""",
)
"""As ``Lif`` with input ``x[t] + recurrent_weight @ s[t - 1]``; weight is ``(post, pre)``, features 1-D."""

ADAPTIVE_LIF = OpSpec(
    "AdaptiveLif",
    "neuron",
    (
        *("x", "current_decay", "voltage_decay", "threshold", "bias"),
        *("threshold_decay", "refractory_decay", "threshold_step"),
    ),
    (DECAY_INPUT,),
    "same",
    "binary",
    f"""{{{LEAK}
        keep_raised = Sub (one, threshold_decay)
        keep_refractory = Sub (one, refractory_decay)
        u_end, v_end, raised_end, refractory_end, s = Scan <num_scan_inputs = 1, body = adaptive_lif_step
                (float[] u, float[] v, float[] raised, float[] refractory, float[] a)
                => (float[] u_next, float[] v_next, float[] raised_next, float[] refractory_next, float[] spike) {{
{INTEGRATE}
            v_next = Add (leaked, bias)
            raised_kept = Mul (keep_raised, raised)
            refractory_kept = Mul (keep_refractory, refractory)
{ADAPT}        }}> (rest, rest, rest, rest, x)
    }}""",
)
"""LIF whose threshold rises with every spike; :class:`hsnn.nn.AdaptiveLif` has the equations."""

LEAKY_INTEGRATOR = OpSpec(
    "LeakyIntegrator",
    "neuron",
    ("x", "current_decay", "voltage_decay", "bias"),
    (DECAY_INPUT,),
    "same",
    "real",
    f"""{{{LEAK}
        u_end, v_end, s = Scan <num_scan_inputs = 1, body = integrator_step
                (float[] u, float[] v, float[] a)
                => (float[] u_next, float[] v_next, float[] v_out) {{{INTEGRATE}
            v_next = Add (leaked, bias)
            v_out = Identity (v_next)
        }}> (rest, rest, x)
    }}""",
)
"""As ``Lif`` without spikes; the output is the voltage of every timestep."""

NEURONS: tuple[OpSpec, ...] = (
    LIF,
    RECURRENT_LIF,
    *COUNTING_NEURONS,
    ADAPTIVE_LIF,
    LEAKY_INTEGRATOR,
    RESONATE_FIRE,
    *SIGMA_DELTA_NEURONS,
)
