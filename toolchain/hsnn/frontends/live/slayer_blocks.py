"""What stands around the neurons of lava-dl's slayer: synapses, delays and blocks, written with plain torch layers.

Each works on ``(batch, *feature, timestep)``. Layers that slayer writes as 3-D convolutions with time as the third axis
become 2-D ones with time and batch as one axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.opaque import later
from hsnn.frontends.live.slayer import UNITS
from hsnn.frontends.live.slayer_fields import PACKAGE
from hsnn.frontends.live.slayer_resonators import joint_weight, parts_of
from hsnn.frontends.live.slayer_weights import effective_weight, norm_hook
from hsnn.frontends.live.spec import inexpressible, title

Forward = Callable[[Tensor], Tensor]
_BLOCK = f"{PACKAGE}.block.base.Abstract"
_LATE = tuple(f"{_BLOCK}{name}" for name in ("Input", "Dense", "Conv", "Pool", "ConvT", "Unpool"))
"""Blocks that send one timestep late by ``delay_shift``."""
_DELAY = f"{PACKAGE}.axon.delay.Delay"
_SYNAPSE = f"{PACKAGE}.synapse.layer"
_COMPLEX = f"{PACKAGE}.synapse.complex.ComplexLayer"


def forget(module: nn.Module) -> None:
    """Forget what blocks keep of the last call."""
    for part in module.modules():
        if "delay_buffer" in vars(part):
            part.delay_buffer = None  # type: ignore[assignment]  # slayer's own attribute


def rewrite(module: nn.Module) -> None:
    """Let the synapses, delays and blocks of a copy compute with plain torch layers and resolved weights.

    Args:
        module: A copy, which is spoiled.

    Raises:
        UnsupportedError: ``HSNN-F091``, naming the module, if one does what plain layers cannot.
    """
    masks: dict[int, Tensor] = {}
    for path, part in module.named_modules():
        names = _names(part)
        try:
            if any(name in names for name in (*_LATE, f"{_BLOCK}Affine")):
                _rewrite_block(part, names, masks)
            elif _DELAY in names:
                part.forward = _delayed(part)
        except UnsupportedError as error:
            raise _named(path, part, error) from error
    inside: set[int] = set()
    for path, part in module.named_modules():
        is_complex = _COMPLEX in _names(part)
        if is_complex:
            inside |= {id(part.real), id(part.imag)}
        if is_complex or (id(part) not in inside and _builder(part) is not None):
            try:
                (_rewrite_complex if is_complex else _rewrite_synapse)(part, masks.get(id(part)))
            except UnsupportedError as error:
                raise _named(path, part, error) from error


def _named(path: str, part: nn.Module, error: UnsupportedError) -> UnsupportedError:
    return UnsupportedError(error.code, f"{title(path, part)}: {error.found}", allowed=error.allowed, fix=error.fix)


def _names(module: nn.Module) -> tuple[str, ...]:
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)


def _rewrite_block(block: Any, names: tuple[str, ...], masks: dict[int, Tensor]) -> None:
    if getattr(block, "mask", None) is not None:
        masks[id(block.synapse)] = block.mask
        block.mask = None
    if any(name in names for name in UNITS) or not getattr(block, "delay_shift", False):
        return
    block.delay_shift = False
    inner = block.forward
    block.forward = lambda x: later(inner(x), [1])


def _delayed(part: Any) -> Forward:
    if not part.init:
        raise inexpressible(
            "its delays are drawn at its first call, and replace any that were loaded before",
            fix="call the model once, load the weights, and compile it then",
        )
    highest = None if part.max_delay is None else float(part.max_delay)
    steps = [int(delay) for delay in (part.delay.detach().clamp(0, highest) / part.sampling_time).flatten().tolist()]
    return lambda x: later(x, steps)


def _builder(synapse: nn.Module) -> Callable[[Any, Tensor], Forward] | None:
    return next((_SYNAPSES[name] for name in _names(synapse) if name in _SYNAPSES), None)


def _rewrite_synapse(synapse: Any, mask: Tensor | None) -> None:
    synapse.forward = _computed(synapse, effective_weight(synapse, mask))


def _rewrite_complex(synapse: Any, mask: Tensor | None) -> None:
    """Let both parts be computed by one synapse that has the channels of both."""
    real, imag = (effective_weight(part, mask) for part in (synapse.real, synapse.imag))
    transposed = _builder(synapse.real) in (_conv_transposed, _unpool)
    whole = _computed(synapse.real, joint_weight(real, imag, axis=int(transposed)))
    synapse.forward = lambda x: parts_of(whole(x))


def _computed(synapse: Any, weight: Tensor) -> Forward:
    """Return what a synapse computes with these weights, whatever its weight norm would do."""
    for key, hook in list(synapse._forward_pre_hooks.items()):
        if hook is norm_hook(synapse):
            del synapse._forward_pre_hooks[key]
    synapse.register_buffer("effective_weight", weight)
    build = _builder(synapse)
    if build is None:
        raise inexpressible(f"its synapse is a {type(synapse).__name__}", allowed="slayer's own synapses")
    return build(synapse, weight)


def _at_each_timestep(layer: Callable[[Tensor], Tensor]) -> Forward:
    """Apply a layer that knows one batch axis to ``(batch, *feature, timestep)``."""

    def forward(x: Tensor) -> Tensor:
        steps = later(x, [0]).movedim(-1, 1)  # marks a train where an input of the model is one
        y = layer(steps.flatten(0, 1))
        return y.reshape(x.shape[0], x.shape[-1], *y.shape[1:]).movedim(1, -1)

    return forward


def _dense(synapse: Any, weight: Tensor) -> Forward:
    synapse.effective_weight = weight.squeeze(-1)
    on_image = _at_each_timestep(lambda x: functional.conv2d(x, synapse.effective_weight))

    def forward(x: Tensor) -> Tensor:
        if x.ndim != 3:
            return on_image(x)
        return functional.linear(later(x, [0]).movedim(-1, 1), synapse.effective_weight.flatten(1)).movedim(1, -1)

    return forward


def _window(synapse: Any) -> dict[str, Any]:
    return {name: tuple(getattr(synapse, name)[:2]) for name in ("stride", "padding", "dilation")}


def _conv(synapse: Any, weight: Tensor) -> Forward:
    synapse.effective_weight = weight.squeeze(-1)
    options: dict[str, Any] = {**_window(synapse), "groups": int(synapse.groups)}
    return _at_each_timestep(lambda x: functional.conv2d(x, synapse.effective_weight, **options))


def _conv_transposed(synapse: Any, weight: Tensor) -> Forward:
    synapse.effective_weight = weight.squeeze(-1)
    options: dict[str, Any] = {
        **_window(synapse),
        "groups": int(synapse.groups),
        "output_padding": tuple(synapse.output_padding[:2]),
    }
    return _at_each_timestep(lambda x: functional.conv_transpose2d(x, synapse.effective_weight, **options))


def _pool(synapse: Any, weight: Tensor) -> Forward:
    """Sum windows of every channel.

    slayer adds as many zeros behind an axis as its extent leaves over the kernel's, and puts the channels below each
    other: a window must not reach from one into the next.
    """
    options = _window(synapse)
    kernel: tuple[int, int] = tuple(weight.shape[2:4])  # type: ignore[assignment]

    def layer(x: Tensor) -> Tensor:
        channels, extra = x.shape[1], (x.shape[2] % kernel[0], x.shape[3] % kernel[1])
        _check_apart(options, kernel, x.shape[2] + extra[0])
        if any(extra):
            # A transposed convolution with a kernel that is 1 at its first place appends zeros.
            rows = [[float(row == column == 0) for column in range(extra[1] + 1)] for row in range(extra[0] + 1)]
            x = functional.conv_transpose2d(x, torch.tensor([[rows]] * channels), groups=channels)
        summed: Tensor = functional.conv2d(x, _for_each(synapse, channels), groups=channels, **options)
        return summed

    return _at_each_timestep(layer)


def _unpool(synapse: Any, weight: Tensor) -> Forward:
    options = _window(synapse)
    kernel: tuple[int, int] = tuple(weight.shape[2:4])  # type: ignore[assignment]

    def layer(x: Tensor) -> Tensor:
        if kernel[0] != options["stride"][0] or options["padding"][0] or options["dilation"][0] != 1:
            raise inexpressible(
                "its windows overlap those of other channels, which slayer puts below each other",
                allowed="a stride of the kernel's height, and no padding or dilation along it",
            )
        channels = x.shape[1]
        spread: Tensor = functional.conv_transpose2d(x, _for_each(synapse, channels), groups=channels, **options)
        return spread

    return _at_each_timestep(layer)


def _for_each(synapse: Any, channels: int) -> Tensor:
    return synapse.effective_weight.squeeze(-1).repeat(channels, 1, 1, 1)  # type: ignore[no-any-return]


def _check_apart(options: dict[str, Any], kernel: tuple[int, int], height: int) -> None:
    stride, reach = options["stride"][0], options["dilation"][0] * (kernel[0] - 1) + 1
    if options["padding"][0] or height % stride or reach > stride:
        raise inexpressible(
            f"windows of height {reach} at stride {stride} reach from one channel, {height} high, into the next, since "
            "slayer puts channels below each other",
            allowed="a stride of at least the kernel's height that divides the input's, and no padding along it",
            fix="use a Conv block with as many groups as channels",
        )


_SYNAPSES: dict[str, Callable[[Any, Tensor], Forward]] = {
    f"{_SYNAPSE}.Dense": _dense,
    f"{_SYNAPSE}.Conv": _conv,
    f"{_SYNAPSE}.Pool": _pool,
    f"{_SYNAPSE}.ConvTranspose": _conv_transposed,
    f"{_SYNAPSE}.Unpool": _unpool,
}
