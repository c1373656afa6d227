"""Resonate-and-fire neurons: real and imaginary input, channel by channel in turn, to spikes of half as many channels.

State is zero at the start of every call. ``cos_decay`` and ``sin_decay`` are the parts of the number that the state is
multiplied by: what is kept of its radius, at the angle of a timestep. Parameters have shape () or broadcast to the
features of the spikes. Source: the equations of Lava's RF and RF_IZ (lava-nc 0.10.0, ``proc/rf``, ``proc/rf_iz``).
"""

from __future__ import annotations

from hsnn.ops.spec import Attribute, OpSpec

FIRING = Attribute("firing", "string", choices=("phase", "izhikevich"))

RESONATE_FIRE = OpSpec(
    "ResonateFire",
    "neuron",
    ("x", "cos_decay", "sin_decay", "threshold"),
    (FIRING,),
    "half_features",
    "binary",
    """{
        zero = Constant <value_float = 0.0> ()
        firing = Constant <value_string: string = @firing> ()
        phase_word = Constant <value_string = "phase"> ()
        by_phase = Equal (firing, phase_word)
        by_level = Not (by_phase)
        first = Constant <value_ints = [0]> ()
        second = Constant <value_ints = [1]> ()
        end = Constant <value_ints = [9223372036854775807]> ()
        axis = Constant <value_ints = [2]> ()
        every_other = Constant <value_ints = [2]> ()
        x_real = Slice (x, first, end, axis, every_other)
        x_imag = Slice (x, second, end, axis, every_other)
        state_shape = Shape <start = 1> (x_real)
        rest = Expand (zero, state_shape)
        real_end, imag_end, s = Scan <num_scan_inputs = 2, body = resonate_step
                (float[] real, float[] imag, float[] a_real, float[] a_imag)
                => (float[] real_next, float[] imag_next, float[] spike) {
            real_kept = Mul (cos_decay, real)
            imag_crossed = Mul (sin_decay, imag)
            real_turned = Sub (real_kept, imag_crossed)
            real_now = Add (real_turned, a_real)
            real_crossed = Mul (sin_decay, real)
            imag_kept = Mul (cos_decay, imag)
            imag_turned = Add (real_crossed, imag_kept)
            imag_now = Add (imag_turned, a_imag)
            far = GreaterOrEqual (real_now, threshold)
            above = GreaterOrEqual (imag_now, zero)
            below = Less (imag, zero)
            crossing = And (above, below)
            in_phase = And (far, crossing)
            reached = GreaterOrEqual (imag_now, threshold)
            fires_by_phase = And (by_phase, in_phase)
            fires_by_level = And (by_level, reached)
            fire = Or (fires_by_phase, fires_by_level)
            real_reset = Where (fire, zero, real_now)
            imag_reset = Where (fire, threshold, imag_now)
            real_next = Where (by_phase, real_now, real_reset)
            imag_next = Where (by_phase, imag_now, imag_reset)
            spike = Cast <to = 1> (fire)
        }> (rest, rest, x_real, x_imag)
    }""",
)
"""Neurons with a complex state; :class:`hsnn.nn.ResonateFire` has the equations."""
