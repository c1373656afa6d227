"""Kernels of the tier ``portable``, and those that learn, have nothing of one processor in them."""

from __future__ import annotations

import pytest
from llvmlite import binding

from hsnn.verify.random_learning import random_lesson_network
from hsnn.verify.random_networks import EVERYTHING, random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget, kernel_compiler
from hsnn_targets.emulator.kernel import Kernel
from support.parts import cut_everything


@pytest.fixture(scope="module")
def codes():
    """Code of all kernels that two networks run, one of them on threads that share a sample, too.

    It is as it was before LLVM made it faster.
    """
    called, entry = {}, Kernel.entry

    def note(kernel, kinds):
        called[kernel.module, kernel.name, kinds] = None
        return entry(kernel, kinds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "entry", note)
        network = random_network(3, features=EVERYTHING | {"counting", "resonator"})
        EmulatorTarget(threads=1, tier="portable").load(network).run(random_inputs(network, 1, 0))
        cut_everything(patch)
        EmulatorTarget(threads=2, tier="portable").load(network).run(random_inputs(network, 1, 0))
        network = random_lesson_network(1)
        EmulatorTarget().load(network).learn(random_inputs(network, 1, 0))
        patch.setattr(kernel_compiler, "_object_of", lambda code: code)
        return [kernel_compiler.compile_kernel(*names) for names in called]


def test_nothing_is_of_one_processor(codes):
    assert len(codes) > 3
    assert not any("llvm.x86" in code for code in codes)


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin"])
def test_they_compile_for_others(triple, codes):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip("this llvmlite has no such target")
    machine = target.create_target_machine(opt=1)
    for code in codes:
        module = binding.parse_assembly(code.replace(binding.get_process_triple(), triple))
        module.data_layout = str(machine.target_data)
        module.verify()
        assert len(machine.emit_object(module)) > 1000
