"""What the torch front end refuses, and what it says."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.torch import from_torch
from hsnn.frontends.torch_state import check_stateless

X = (torch.rand(2, 4, generator=torch.Generator().manual_seed(0)),)


class Net(nn.Module):
    """A spiking network with something in the middle."""

    def __init__(self, middle):
        super().__init__()
        self.encode = snn.RateEncode(4)
        self.fc = nn.Linear(4, 4)
        self.middle = middle
        self.lif = snn.Lif(0.3)
        self.decode = snn.RateDecode()

    def forward(self, x):
        return self.decode(self.lif(self.middle(self.fc(self.encode(x)))))


class LazyState(nn.Module):
    """As snnTorch's neurons with init_hidden: None, then a tensor."""

    def __init__(self):
        super().__init__()
        self.mem = None

    def forward(self, x):
        if self.mem is None:
            self.mem = torch.zeros_like(x)
        self.mem = 0.9 * self.mem + x
        return self.mem


class BufferState(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("v", torch.zeros(1))

    def forward(self, x):
        self.v = self.v * 0.5 + x.sum()
        return x


class DictState(nn.Module):
    """As SpikingJelly's neurons: values by name, 0.0 until the first call."""

    def __init__(self):
        super().__init__()
        self._memories = {"v": 0.0}

    def forward(self, x):
        self._memories["v"] = self._memories["v"] + x
        return (self._memories["v"] > 1).float()


class InPlaceState(nn.Module):
    def __init__(self):
        super().__init__()
        self.states = [torch.zeros(()), (torch.zeros(4, 1, 4),)]

    def forward(self, x):
        self.states[1][0].add_(x.mean(1, keepdim=True))
        return x + self.states[1][0]


@dataclass
class Holder:
    v: torch.Tensor


class ObjectState(nn.Module):
    def __init__(self):
        super().__init__()
        self.holder = Holder(torch.zeros(()))

    def forward(self, x):
        self.holder.v = self.holder.v + x.mean()
        return x


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        (LazyState, "mem"),
        (BufferState, "v"),
        (DictState, "_memories['v']"),
        (InPlaceState, "states[1][0]"),
        (ObjectState, "holder.v"),
    ],
)
def test_hidden_state_is_refused_by_module_and_attribute(kind, attribute):
    net = Net(nn.Sequential(nn.Identity(), kind()))
    with pytest.raises(UnsupportedError, match="HSNN-F011") as caught:
        from_torch(net, X)
    assert f"{attribute!r} of 'middle.1' ({kind.__name__})" in caught.value.found
    assert "hsnn.nn.Lif" in caught.value.fix


def test_hidden_state_is_found_after_training_and_the_module_is_left_as_it_was():
    net = Net(LazyState())
    net(*X).sum().backward()
    state = net.middle.mem
    with pytest.raises(UnsupportedError, match="HSNN-F011"):
        from_torch(net, X)
    assert net.middle.mem is state
    assert state.grad_fn is not None


def test_several_states_are_all_named():
    net = Net(nn.Sequential(*(LazyState() for _ in range(10))))
    with pytest.raises(UnsupportedError, match="and 2 more"):
        from_torch(net, X)


class Silent(nn.Module):
    def forward(self, x):
        return x * 0


@pytest.mark.parametrize("kind", [LazyState, InPlaceState])
def test_state_is_found_even_where_nothing_arrives(kind):
    net = Net(nn.Sequential(Silent(), kind()))
    with pytest.raises(UnsupportedError, match="HSNN-F011"):
        from_torch(net, X)


class Watcher(nn.Module):
    """Keeps what it saw and shows a buffer under another name: no state, whatever comes before it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.tensor(2.0))

    def forward(self, x):
        self.seen = x
        self.alias = self.factor
        return x * self.factor


def test_only_the_state_itself_is_named():
    net = Net(nn.Sequential(Watcher(), LazyState(), Watcher()))
    with pytest.raises(UnsupportedError, match="HSNN-F011") as caught:
        from_torch(net, X)
    assert "middle.1" in caught.value.found
    assert "middle.0" not in caught.value.found
    assert "middle.2" not in caught.value.found
    check_stateless(Net(Watcher()), X)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def test_state_in_a_number_is_found_too():
    with pytest.raises(UnsupportedError, match=r"HSNN-F011.*no tensor"):
        from_torch(Net(Counter()), X)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def test_randomness_in_eval_is_refused_by_module():
    with pytest.raises(UnsupportedError, match="HSNN-F012") as caught:
        from_torch(Net(Noise()), X)
    assert "'middle' (Noise)" in caught.value.found


def test_dropout_is_not_random_in_eval():
    net = Net(nn.Dropout(0.5))
    check_stateless(net, X)


def test_a_wrong_example_input_names_the_module():
    with pytest.raises(UsageError, match="HSNN-F010") as caught:
        from_torch(Net(nn.Identity()), (torch.rand(2, 5),))
    assert "(2, 5)" in caught.value.found
    assert "'fc' (Linear)" in caught.value.found


def test_an_error_of_a_layer_keeps_its_advice():
    net = nn.Sequential(nn.Flatten(), snn.Lif())
    with pytest.raises(UsageError, match="HSNN-F010") as caught:
        from_torch(net, X)
    assert "'1' (Lif)" in caught.value.found
    assert "encoder" in caught.value.fix


@pytest.mark.parametrize(
    "inputs", [(), torch.rand(2, 4), (1,), (torch.rand(2, 4), torch.rand(3, 4)), (torch.rand(()),)]
)
def test_example_inputs_are_a_tuple_of_batches(inputs):
    with pytest.raises(UsageError, match="HSNN-F006"):
        from_torch(Net(nn.Identity()), inputs)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_named(value):
    net = Net(nn.Identity())
    with torch.no_grad():
        net.fc.weight[1, 2] = value
    with pytest.raises(UsageError, match=r"HSNN-F005.*fc\.weight"):
        from_torch(net, X)


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_control_flow_on_values_is_refused_by_module():
    with pytest.raises(UnsupportedError, match="HSNN-F013") as caught:
        from_torch(Net(Branches()), X)
    assert "'middle' (Branches)" in caught.value.found
    assert "torch.where" in caught.value.fix
    assert caught.value.__cause__ is not None


class Unconvertible(nn.Module):
    def forward(self, x):
        return torch.special.airy_ai(x)


def test_an_operator_without_onnx_equivalent_is_named():
    with pytest.raises(UnsupportedError, match="HSNN-F014") as caught:
        from_torch(Net(Unconvertible()), X)
    assert "airy_ai" in caught.value.found
    assert "'middle' (Unconvertible)" in caught.value.found


class OneBatch(nn.Module):
    def forward(self, x):
        return x.reshape(4, 2, 4)


def test_a_fixed_batch_is_refused():
    with pytest.raises(UnsupportedError, match="HSNN-F015"):
        from_torch(Net(OneBatch()), X)


def test_a_model_without_neurons_is_refused():
    with pytest.raises(UnsupportedError, match="HSNN-F025"):
        from_torch(nn.Linear(4, 4), X)


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", -1.0), ("threshold", 0.0), ("voltage_decay", 1.5), ("current_decay", -0.5)]
)
def test_values_that_were_loaded_out_of_range_are_refused(name, value):
    net = Net(nn.Identity())
    getattr(net.lif, name).fill_(value)
    with pytest.raises(UnsupportedError, match=f"HSNN-F028.*lif/Lif.*{name}"):
        from_torch(net, X)


def test_double_precision_is_refused():
    with pytest.raises(UnsupportedError, match=r"HSNN-F028.*float32"):
        from_torch(Net(nn.Identity()).double(), (X[0].double(),))


def test_a_module_that_cannot_be_copied():
    net = Net(nn.Identity())
    net.lock = threading.Lock()
    with pytest.raises(UnsupportedError, match="HSNN-F018"):
        from_torch(net, X)
