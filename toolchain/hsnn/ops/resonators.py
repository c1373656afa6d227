"""Resonate-and-fire neurons: real and imaginary input, channel by channel in turn, to spikes of half as many channels.

State is zero at the start of every call. ``cos_decay`` and ``sin_decay`` are the parts of the number that the state is
multiplied by: what is kept of its radius, at the angle of a timestep. Parameters have shape () or broadcast to the
features of the spikes. Source: the equations of Lava's RF and RF_IZ (lava-nc 0.10.0, ``proc/rf``, ``proc/rf_iz``).
:mod:`hsnn.ops.fixed` says what a grid is.
"""

from __future__ import annotations

from hsnn.ops.spec import Attribute, OpSpec

RESOLUTION = Attribute("resolution", "float", above=0.0)

FIRING = Attribute("firing", "string", choices=("phase", "izhikevich"))

_START = """
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
"""
_TURN = """
            real_kept = Mul (cos_decay, real)
            imag_crossed = Mul (sin_decay, imag)
            real_turned = Sub (real_kept, imag_crossed)
            real_now = Add (real_turned, a_real)
            real_crossed = Mul (sin_decay, real)
            imag_kept = Mul (cos_decay, imag)
            imag_turned = Add (real_crossed, imag_kept)
            imag_now = Add (imag_turned, a_imag)
"""
_FIRE = """
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
            imag_reset = Where (fire, reset_level, imag_now)
            real_next = Where (by_phase, real_now, real_reset)
            imag_next = Where (by_phase, imag_now, imag_reset)
            spike = Cast <to = 1> (fire)
"""


def _product(name: str, state: str, factor: str) -> str:
    """Multiply a state by a part of the turn in float64 and round it; the result is ``<name>``."""
    return f"""
            {name}_part = Mul ({factor}_wide, {state}_wide)
            {name}_cut = Mod <fmod = 1> ({name}_part, unit)
            {name} = Sub ({name}_part, {name}_cut)"""


def _rounded(name: str) -> str:
    return f"""
            {name}_wide = Cast <to = 11> ({name})
            {name}_cut = Mod <fmod = 1> ({name}_wide, unit)
            {name}_left = Sub ({name}_wide, {name}_cut)"""


_TURN_ON_GRID = f"""
            real_wide = Cast <to = 11> (real)
            imag_wide = Cast <to = 11> (imag)
{_product("real_kept", "real", "cos")}{_product("imag_crossed", "imag", "sin")}
{_product("real_crossed", "real", "sin")}{_product("imag_kept", "imag", "cos")}
{_rounded("a_real")}{_rounded("a_imag")}
            real_turned = Sub (real_kept, imag_crossed)
            real_sum = Add (real_turned, a_real_left)
            real_now = Cast <to = 1> (real_sum)
            imag_turned = Add (real_crossed, imag_kept)
            imag_sum = Add (imag_turned, a_imag_left)
            imag_now = Cast <to = 1> (imag_sum)
"""


def _body(start: str, turn: str, name: str) -> str:
    return f"""{{{_START}{start}
        real_end, imag_end, s = Scan <num_scan_inputs = 2, body = {name}
                (float[] real, float[] imag, float[] a_real, float[] a_imag)
                => (float[] real_next, float[] imag_next, float[] spike) {{{turn}{_FIRE}
        }}> (rest, rest, x_real, x_imag)
    }}"""


RESONATE_FIRE = OpSpec(
    "ResonateFire",
    "neuron",
    ("x", "cos_decay", "sin_decay", "threshold"),
    (FIRING,),
    "half_features",
    "binary",
    _body("        reset_level = Identity (threshold)", _TURN, "resonate_step"),
)
"""Neurons with a complex state; :class:`hsnn.nn.ResonateFire` has the equations."""

FIXED_RESONATE_FIRE = OpSpec(
    "FixedResonateFire",
    "neuron",
    ("x", "cos_decay", "sin_decay", "threshold"),
    (FIRING, RESOLUTION),
    "half_features",
    "binary",
    _body(
        """        resolution = Constant <value_float: float = @resolution> ()
        unit = Cast <to = 11> (resolution)
        cos_wide = Cast <to = 11> (cos_decay)
        sin_wide = Cast <to = 11> (sin_decay)
        reset_level = Sub (threshold, resolution)""",
        _TURN_ON_GRID,
        "fixed_resonate_step",
    ),
)
"""``ResonateFire`` on a grid; an ``izhikevich`` neuron rests one step of it below its threshold."""
