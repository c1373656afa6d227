"""Line up time: how many timesteps deep each population lies, and what each projection must wait.

A chip carries a spike through a projection in one timestep, where aligned time says none. So a
population sees timestep ``t`` of a sample ``depth`` timesteps late, and for every projection::

    latency = depth(post) - depth(pre) + delay >= 1        extra = latency - 1

``extra`` is the delay that the hardware's synapses have to add: skips and short branches wait there for
the long ones. Depths are the least that satisfy this, with inputs and constant sources at 0: the longest
path, where a projection is ``1 - delay`` long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hsnn.errors import CapacityError, UnsupportedError
from hsnn.ir.arithmetic import DELAY_MAX
from hsnn.ir.populations import ConstantSource

if TYPE_CHECKING:
    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.projections import Projection
    from hsnn.ir.spiking import FloatProjection, SpikingGraph

    Graph: TypeAlias = IntegerNetwork | SpikingGraph
    Link: TypeAlias = Projection | FloatProjection


@dataclass(frozen=True, slots=True)
class Timing:
    """When the populations of a segment work, in timesteps of the hardware.

    Attributes:
        depth: For every port and population: timesteps by which it is behind the inputs.
        extra: For every projection: timesteps that its spikes wait beyond the one that any
            projection takes, 0 to 63. A constant source sends the same at all times, so what
            waits for it is only where its ones begin: ``delay`` timesteps into a sample.
    """

    depth: Mapping[str, int]
    extra: Mapping[str, int]

    @property
    def deepest(self) -> int:
        """Depth of the deepest population."""
        return max(self.depth.values(), default=0)


def match_delays(graph: Graph) -> Timing:
    """Find depths and extra delays; the same graph always gives the same answer.

    Args:
        graph: A segment in which every projection of delay 0 leads forward.

    Raises:
        UnsupportedError: ``HSNN-C021``, if a loop has less delay than projections, so that spikes
            would have to arrive before the hardware can carry them.
        CapacityError: ``HSNN-C020``, if a projection would have to wait more than 63 timesteps.
    """
    depth = _longest_paths(graph)
    extra = {link.name: depth[link.post] - depth[link.pre] + link.delay - 1 for link in graph.projections}
    constant = {p.name for p in graph.populations if isinstance(p, ConstantSource)}
    for link in graph.projections:
        if extra[link.name] > DELAY_MAX and link.pre not in constant:
            raise CapacityError(
                "HSNN-C020",
                f"projection {link.name!r} from {link.pre!r} (depth {depth[link.pre]}) to {link.post!r} "
                f"(depth {depth[link.post]}) with delay {link.delay} has to wait {extra[link.name]} timesteps more",
                allowed=f"0 to {DELAY_MAX}",
                fix=f"shorten the branch beside it, or put a spiking layer into {link.name!r}",
            )
    return Timing(depth, extra)


def _longest_paths(graph: Graph) -> dict[str, int]:
    """Relax every projection until nothing moves (Bellman-Ford); a loop that grows never settles."""
    depth = {item.name: 0 for item in (*graph.inputs, *graph.populations)}
    reached: dict[str, Link] = {}
    for _ in range(len(depth) + 1):
        moved = False
        for link in graph.projections:
            arrival = depth[link.pre] + 1 - link.delay
            if arrival > depth[link.post]:
                depth[link.post], reached[link.post], moved = arrival, link, True
        if not moved:
            return depth
    raise _too_short(_loop(reached))


def _loop(reached: Mapping[str, Link]) -> list[Link]:
    """Walk back along the projections that set the depths until one population comes up twice."""
    for start in reached:
        path: list[Link] = []
        seen: dict[str, int] = {}
        name = start
        while name in reached and name not in seen:
            seen[name] = len(path)
            path.append(reached[name])
            name = reached[name].pre
        if name in seen:
            return path[seen[name] :][::-1]
    raise AssertionError("depths that never settle without a loop")


def _too_short(loop: list[Link]) -> UnsupportedError:
    total = sum(link.delay for link in loop)
    way = " -> ".join([loop[0].pre, *(link.post for link in loop)])
    names = ", ".join(repr(link.name) for link in loop)
    return UnsupportedError(
        "HSNN-C021",
        f"the loop {way} through {names} has a total delay of {total} timesteps, but {len(loop)} projections",
        allowed="a delay of 1 timestep or more per projection of a loop",
        fix=f"raise the delay of {max(loop, key=lambda link: link.delay).name!r} by {len(loop) - total}, "
        "and train the model with it",
    )
