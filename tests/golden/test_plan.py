"""Golden text: how the compiler cuts and lowers the example models, line by line.

After a deliberate change, write the files anew with ``HSNN_WRITE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hsnn.frontends.torch import from_torch
from hsnn.ir.plan import ChipSegment, Plan
from hsnn.ir.populations import ConstantSource
from hsnn.ir.spiking import FloatConv, FloatLif, FloatProjection, SpikingGraph
from hsnn.passes.mapping.delays import match_delays
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn_models.digits import digits
from hsnn_models.fashion import fashion

HERE = Path(__file__).parent


def describe(plan: Plan) -> str:
    lines = []
    for stage in plan.stages:
        lines.append(f"{stage.name}: {', '.join(stage.inputs)} -> {', '.join(stage.outputs)}")
        if isinstance(stage, ChipSegment):
            lines += [f"  {line}" for line in describe_graph(stage.graph)]
    lines.append("placements:")
    for item in plan.placements:
        reason = f"{item.code} {item.reason}".strip()
        lines.append(f"  {item.place}  {item.op}  {item.module}  ({reason})")
    return "\n".join(lines) + "\n"


def describe_graph(graph: SpikingGraph) -> list[str]:
    timing = match_delays(graph)
    lines = [f"{graph.timesteps} timesteps"]
    lines += [f"input {port.name} {port.shape} {'binary' if port.binary else 'graded'}" for port in graph.inputs]
    for population in graph.populations:
        if isinstance(population, ConstantSource):
            lines.append(f"constant {population.name}")
            continue
        kind = f"lif {population.comparison} reset {population.reset}" if isinstance(population, FloatLif) else "reader"
        decays = f"current decay {population.current_decay:g}, voltage decay {population.voltage_decay:g}"
        bias = "bias" if np.any(population.bias) else "no bias"
        lines.append(
            f"{kind} {population.name} {population.shape} depth {timing.depth[population.name]}: {decays}, {bias}"
        )
        lines += [f"  {describe_projection(link, timing.extra[link.name])}" for link in graph.into(population.name)]
    lines.append(f"outputs {', '.join(graph.outputs)}")
    return lines


def describe_projection(link: FloatProjection, wait: int) -> str:
    size = f"{link.weights.shape}" if not hasattr(link, "data") else f"{link.data.size} synapses"
    extra = f" stride {link.stride} padding {link.padding} groups {link.groups}" if isinstance(link, FloatConv) else ""
    return f"{type(link).__name__} {link.name} from {link.pre} {size}{extra} delay {link.delay} waits {wait}"


@pytest.mark.parametrize(("factory", "shape"), [(digits, (1, 8, 8)), (fashion, (1, 28, 28))], ids=["digits", "fashion"])
def test_plan_is_as_written(factory, shape):
    plan = Partition()(canonicalize(from_torch(factory(), (torch.rand(2, *shape),))))
    text = describe(plan)
    path = HERE / f"{factory.__name__}.txt"
    if os.environ.get("HSNN_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
