"""Random hybrids vary every constructor argument of every neuron that they draw, or a row says why one is refused."""

import inspect
import random

import pytest
import random_norse
import random_snntorch
import random_spikingjelly
from torch import nn

REFUSED = {
    "snnTorch": {"inhibition", "state_quant"},
    "SpikingJelly": {"SimpleLIFNode.v_reset"},
    "Norse": set(),
}
"""Arguments that can have no other value than their default: rows of the support matrix."""
KITS = {"snnTorch": random_snntorch, "SpikingJelly": random_spikingjelly, "Norse": random_norse}
DRAWS = 60


def drawn(kit, monkeypatch):
    """Draw neurons; return for each class the arguments that were ever given another value, and all that there are."""
    varied: dict[type, set[str]] = {}

    def watch(kind: type, patch: pytest.MonkeyPatch) -> None:
        made = kind.__init__
        signature = inspect.signature(made)
        defaults = {name: item.default for name, item in signature.parameters.items()}

        def init(self, *args, **kwargs):
            given = signature.bind(self, *args, **kwargs).arguments
            if type(self) is kind:
                given = {**given, **given.get("kwargs", {})}
                varied.setdefault(kind, set()).update(
                    name for name, value in given.items() if name not in defaults or differs(value, defaults[name])
                )
            made(self, *args, **kwargs)

        patch.setattr(kind, "__init__", init)

    with monkeypatch.context() as patch:
        for kind in {type(part) for part in draws(kit, 1)}:
            watch(kind, patch)
        list(draws(kit, DRAWS))
    return varied


def draws(kit, count):
    for mode in kit.modes:
        for seed in range(count):
            for shape in ((5,), (3, 4, 4)):
                for kind in kit.kinds[mode]:
                    if len(shape) == 1 or "Recurrent" not in kind:
                        yield kit.neuron(
                            random.Random(seed), shape, mode=mode, timesteps=4, last=True, kind=kind
                        ).module


def differs(value, default):
    simple = isinstance(value, bool | int | float | str | type(None))
    return default is inspect.Parameter.empty or not simple or value != default


@pytest.mark.parametrize("library", KITS)
def test_every_argument_of_every_neuron_has_another_value_somewhere(library, monkeypatch):
    varied = drawn(KITS[library], monkeypatch)
    assert len(varied) >= 5
    left = {}
    for kind, names in varied.items():
        arguments = set(inspect.signature(kind).parameters) - {"self", "args", "kwargs"}
        known = {name for name in arguments if {name, f"{kind.__name__}.{name}"} & REFUSED[library]}
        left[kind.__name__] = arguments - names - known
        assert issubclass(kind, nn.Module)
    assert not any(left.values()), left
