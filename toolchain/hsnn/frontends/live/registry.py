"""Which classes are neurons: those that users register, then those of the libraries that hsnn knows.

Classes are matched by their qualified names over the method resolution order, so no library is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from torch import nn

from hsnn.errors import HsnnError, UnsupportedError, UsageError
from hsnn.frontends.live import norse, sinabs, slayer, slayer_blocks, snntorch, spikingjelly
from hsnn.frontends.live.spec import LiveNeuron, about, title
from hsnn.nn import RecurrentLif
from hsnn.nn.symbolic import OpLayer

Convert: TypeAlias = Callable[[nn.Module], "LiveNeuron | OpLayer"]

_REGISTERED: dict[str, Convert] = {}
_LIBRARIES = (snntorch, spikingjelly, norse, sinabs, slayer)


def register_neuron(neuron: type[nn.Module] | str) -> Callable[[Convert], Convert]:
    """Tell hsnn what a neuron class computes.

    The decorated function gets a module of that class (or of a class derived from it) and returns the hsnn layer
    with the same equation. For neurons that are called once for each timestep with one tensor and keep their state
    that is all, and for those on top of a library's neuron, which are called as that is; others return a
    :class:`~hsnn.frontends.live.LiveNeuron`, which also says how they are called.
    It takes precedence over what hsnn knows of a library.

    ::

        @hsnn.register_neuron(MyNeuron)
        def convert(neuron):
            return hsnn.nn.Lif(threshold=neuron.limit, voltage_decay=1 - neuron.keep, reset="subtract")

    Args:
        neuron: The class, or its qualified name such as ``package.module.Class``.

    Raises:
        UsageError: ``HSNN-F096``, if it is no module class.
    """
    if not isinstance(neuron, str) and not (isinstance(neuron, type) and issubclass(neuron, nn.Module)):
        raise UsageError(
            "HSNN-F096",
            f"{neuron!r} is no neuron class",
            allowed="a torch module class, or its name",
            fix="decorate a function with @hsnn.register_neuron(YourNeuron)",
        )
    name = neuron if isinstance(neuron, str) else _qualified(neuron)

    def register(convert: Convert) -> Convert:
        _REGISTERED[name] = convert
        return convert

    return register


def has_foreign_neurons(module: nn.Module) -> bool:
    """Tell whether a model holds neurons that are not those of :mod:`hsnn.nn`."""
    return any(_is_neuron(part) for part in module.modules())


def neurons_of(module: nn.Module) -> dict[str, LiveNeuron]:
    """Return what each foreign neuron in a model is, by its path.

    Raises:
        UnsupportedError: ``HSNN-F090``, if hsnn does not know a neuron of a library that it knows; ``HSNN-F091``,
            if an option of one cannot be expressed.
        UsageError: ``HSNN-F096``, if a registered function returns something else.
    """
    found: dict[str, LiveNeuron] = {}
    for path, part in module.named_modules():
        inside = any(path.startswith(f"{outer}.") or not outer for outer in found)
        if not inside and _is_neuron(part):
            found[path] = _converted(path, part)
    return found


def reset_neurons(module: nn.Module) -> None:
    """Put every foreign neuron into its first state."""
    for part in module.modules():
        names = _names(part)
        library = next((item for item in _LIBRARIES if item.is_neuron(part, names)), None)
        if library is not None:
            library.reset(part)
        elif any(name in _REGISTERED for name in names) and callable(getattr(part, "reset", None)):
            part.reset()  # type: ignore[operator]  # callable, as was just seen
    slayer_blocks.forget(module)


def _is_neuron(module: nn.Module) -> bool:
    names = _names(module)
    return any(name in _REGISTERED for name in names) or any(item.is_neuron(module, names) for item in _LIBRARIES)


def _converted(path: str, module: nn.Module) -> LiveNeuron:
    names = _names(module)
    convert = next((_REGISTERED[name] for name in names if name in _REGISTERED), None)
    if convert is None:
        library = next(item for item in _LIBRARIES if item.is_neuron(module, names))
        known = next((name for name in names if name in library.CONVERTERS), None)
        changed = _changes(type(module), names.index(known)) if known else ()
        if known and changed:
            raise UnsupportedError(
                "HSNN-F090",
                f"{title(path, module)} is a {known.rsplit('.', 1)[1]} that changes {', '.join(changed)}",
                allowed="the library's own classes",
                fix=_way_out(module),
            )
        convert = library.CONVERTERS[known] if known else None
    if convert is None:
        raise UnsupportedError(
            "HSNN-F090",
            f"{title(path, module)} is a neuron that hsnn has no equation for",
            allowed=getattr(library, "KNOWN", "")
            or ", ".join(sorted(name.rsplit(".", 1)[1] for name in library.CONVERTERS)),
            fix=_way_out(module),
        )
    try:
        result = convert(module)
    except HsnnError as error:
        raise about(error, title(path, module)) from error
    if isinstance(result, OpLayer):
        return _called_as_its_library_does(module, names, result)
    if not isinstance(result, LiveNeuron):
        raise UsageError(
            "HSNN-F096",
            f"what is registered for {title(path, module)} returned a {type(result).__name__}",
            allowed="a layer of hsnn.nn, or a LiveNeuron",
            fix="return a layer such as hsnn.nn.Lif from the function",
        )
    return result


def _called_as_its_library_does(module: nn.Module, names: tuple[str, ...], layer: OpLayer) -> LiveNeuron:
    """Return a registered layer with the calling convention of the library's class that the neuron stands on."""
    converters = {name: convert for library in _LIBRARIES for name, convert in library.CONVERTERS.items()}
    known = next((name for name in names if name in converters), None)
    if known is None:
        return LiveNeuron((layer,))
    try:
        base: LiveNeuron = converters[known](module)
    except HsnnError:  # an option of the class, which the layer stands for
        return LiveNeuron((layer,))
    return replace(
        base,
        outputs=(layer, *(None,) * (len(base.outputs) - 1)),
        gain=None,
        shift=None,
        out_gain=None,
        out_shift=None,
        flat=isinstance(layer, RecurrentLif),
        sized=None,
    )


def _way_out(module: nn.Module) -> str:
    return (
        f"tell its equation next to the model: @hsnn.register_neuron({type(module).__name__}) above a function that "
        "takes the neuron and returns what computes the same, such as hsnn.nn.Lif(threshold=..., voltage_decay=...); "
        "docs/interop.md, 'Neurons of your own'"
    )


def _changes(kind: type, known: int) -> tuple[str, ...]:
    """Return what the classes in front of a known one define anew, beyond how it is built and shown."""
    own = [name for item in kind.__mro__[:known] for name, value in vars(item).items() if callable(value)]
    return tuple(sorted({name for name in own if name not in ("__init__", "extra_repr", "__repr__")}))


def _names(module: nn.Module) -> tuple[str, ...]:
    return tuple(_qualified(item) for item in type(module).__mro__)


def _qualified(item: type) -> str:
    return f"{item.__module__}.{item.__qualname__}"
