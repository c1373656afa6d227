"""Sigma-delta neurons: trains of real values to graded messages that say how an activation changes.

State is zero at the start of every call. Parameters have shape () or broadcast to the feature shape. Source: the
equations of Lava's Delta and SigmaDelta (lava-nc 0.10.0, ``proc/sdn``), written with what has been sent so far in
the place of the last activation and its residue, whose difference it is.
"""

from __future__ import annotations

from hsnn.ops.spec import Attribute, OpSpec


def due(result: str) -> str:
    """Lines that compute what has to be sent: the change, where it reaches the threshold."""
    return f"""
            due = Sub (act, sent)
            size = Abs (due)
            moves = GreaterOrEqual (size, threshold)
            {result} = Where (moves, due, zero)"""


CHOOSE_ACTIVATION = """        activation = Constant <value_string: string = @activation> ()
        relu_word = Constant <value_string = "relu"> ()
        rectify = Equal (activation, relu_word)
"""
"""Lines before the timesteps: whether the activation is a rectified linear unit."""
SUM = """            sigma_next = Add (sigma, a)
            biased = Add (sigma_next, bias)
            positive = Relu (biased)
            act = Where (rectify, positive, biased)"""
"""Lines that sum up the input and apply bias and activation."""
_ENCODE = f"""{due("message")}
            sent_next = Add (sent, message)
            message_out = Identity (message)
"""

DELTA = OpSpec(
    "Delta",
    "neuron",
    ("x", "threshold"),
    (),
    "same",
    "graded",
    f"""{{
        zero = Constant <value_float = 0.0> ()
        state_shape = Shape <start = 1> (x)
        rest = Expand (zero, state_shape)
        sent_end, s = Scan <num_scan_inputs = 1, body = delta_step
                (float[] sent, float[] act) => (float[] sent_next, float[] message_out) {{{_ENCODE}
        }}> (rest, x)
    }}""",
)
"""Send a value when it is ``threshold`` or more away from what has been sent; :class:`hsnn.nn.Delta`."""

SIGMA_DELTA = OpSpec(
    "SigmaDelta",
    "neuron",
    ("x", "threshold", "bias"),
    (Attribute("activation", "string", choices=("relu", "identity")),),
    "same",
    "graded",
    f"""{{
        zero = Constant <value_float = 0.0> ()
{CHOOSE_ACTIVATION}        state_shape = Shape <start = 1> (x)
        rest = Expand (zero, state_shape)
        sigma_end, sent_end, s = Scan <num_scan_inputs = 1, body = sigma_delta_step
                (float[] sigma, float[] sent, float[] a)
                => (float[] sigma_next, float[] sent_next, float[] message_out) {{
{SUM}{_ENCODE}
        }}> (rest, rest, x)
    }}""",
)
"""Sum the input, apply bias and activation, and send what changes; :class:`hsnn.nn.SigmaDelta`."""

SIGMA_DELTA_NEURONS: tuple[OpSpec, ...] = (DELTA, SIGMA_DELTA)
