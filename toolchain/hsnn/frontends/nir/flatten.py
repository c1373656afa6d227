"""One flat graph out of nested ones, its loops found, in an order that feeds every node before it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir.read import NirNet, NirNode

NEURONS = frozenset({"I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold"})


@dataclass(frozen=True, slots=True, eq=False)
class FlatNet:
    """A graph without graphs in it.

    Attributes:
        nodes: Nodes by path, such as ``block.lif``, in dataflow order; of a loop only the neuron.
        sources: For each of them: the paths of those that feed it, loops left out.
        loops: For each neuron in a loop: the paths of the loop's other nodes, in order from the neuron's output on.
        inside: For each node of a loop, and the neuron: what feeds it inside of the loop.
        all_nodes: Every node, those in loops too.
    """

    nodes: Mapping[str, NirNode]
    sources: Mapping[str, tuple[str, ...]]
    loops: Mapping[str, tuple[str, ...]]
    inside: Mapping[str, tuple[str, ...]]
    all_nodes: Mapping[str, NirNode]


def flatten(net: NirNet) -> FlatNet:
    """Flatten, order and check a graph.

    Raises:
        UnsupportedError: ``HSNN-F082`` for an edge or a node that leads nowhere, or ``HSNN-F086`` for a loop that no
            recurrent neuron stands for.
    """
    nodes: dict[str, NirNode] = {}
    edges: list[tuple[str, str]] = []
    inner: list[str] = []
    _collect(net, "", nodes, edges, inner)
    edges = _joined(nodes, edges, inner)
    _check_ends(nodes, edges)
    feeds: dict[str, list[str]] = {name: [] for name in nodes}
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        feeds[target].append(source)
        readers[source].append(target)
    groups = _components(nodes, readers)
    loops: dict[str, tuple[str, ...]] = {}
    inside: dict[str, tuple[str, ...]] = {}
    for group in groups:
        if len(group) > 1 or group[0] in readers[group[0]]:
            neuron, others = _loop(group, nodes, feeds)
            loops[neuron] = others
            inside.update({name: tuple(s for s in feeds[name] if s in group) for name in group})
            outside = [name for name in others if any(reader not in group for reader in readers[name])]
            if outside:
                raise _loop_error(neuron, f"{outside[0]!r} inside it is read from outside")
    members = {name for others in loops.values() for name in others}
    order = [name for group in reversed(groups) for name in group if name not in members]
    sources = {name: tuple(s for s in feeds[name] if s not in members and s != name) for name in order}
    return FlatNet({name: nodes[name] for name in order}, sources, loops, inside, nodes)


def _collect(
    net: NirNet, prefix: str, nodes: dict[str, NirNode], edges: list[tuple[str, str]], inner: list[str]
) -> tuple[list[str], list[str]]:
    """Add a graph's nodes and edges under a prefix; return the paths of its own inputs and outputs."""
    starts: dict[str, str] = {}
    ends: dict[str, str] = {}
    for name, node in net.nodes.items():
        path = f"{prefix}{name}"
        starts[name] = ends[name] = path
        if isinstance(node, NirNode):
            if path in nodes:
                raise UnsupportedError("HSNN-F082", f"two nodes are called {path!r}", allowed="names that differ")
            nodes[path] = node
            continue
        entries, exits = _collect(node, f"{path}.", nodes, edges, inner)
        if len(entries) != 1 or len(exits) != 1:
            raise UnsupportedError(
                "HSNN-F082",
                f"graph {path!r} has {len(entries)} inputs and {len(exits)} outputs",
                allowed="one of each in a graph that is a node of another",
            )
        starts[name], ends[name] = entries[0], exits[0]
        inner += [*entries, *exits]
    for source, target in net.edges:
        for end in (source, target):
            if end not in net.nodes:
                raise UnsupportedError(
                    "HSNN-F082", f"an edge leads to or from {end[:80]!r}, which is not there", allowed="names of nodes"
                )
        edges.append((ends[source], starts[target]))
    own = {f"{prefix}{name}": node for name, node in net.nodes.items() if isinstance(node, NirNode)}
    return [n for n, node in own.items() if node.kind == "Input"], [n for n, x in own.items() if x.kind == "Output"]


def _joined(nodes: dict[str, NirNode], edges: list[tuple[str, str]], inner: list[str]) -> list[tuple[str, str]]:
    """Take the inputs and outputs of nested graphs out."""
    for path in inner:
        before = [source for source, target in edges if target == path]
        after = [target for source, target in edges if source == path]
        edges = [edge for edge in edges if path not in edge]
        edges += [(source, target) for source in before for target in after]
        nodes.pop(path, None)
    return edges


def _check_ends(nodes: Mapping[str, NirNode], edges: list[tuple[str, str]]) -> None:
    if len(set(edges)) != len(edges):
        twice = next(edge for edge in edges if edges.count(edge) > 1)
        raise UnsupportedError(
            "HSNN-F082",
            f"there are two edges from {twice[0]!r} to {twice[1]!r}",
            fix="write one edge, with the sum of both",
        )
    fed, read = {target for _, target in edges}, {source for source, _ in edges}
    for name, node in nodes.items():
        if node.kind == "Input" and name in fed:
            raise UnsupportedError(
                "HSNN-F082",
                f"input {name!r} is fed by another node",
                fix="remove the edge: a graph gets its inputs from outside",
            )
        if node.kind == "Output" and name in read:
            raise UnsupportedError(
                "HSNN-F082",
                f"output {name!r} feeds another node",
                fix="let the edge start at the node before the output",
            )
        if (node.kind != "Input" and name not in fed) or (node.kind != "Output" and name not in read):
            raise UnsupportedError(
                "HSNN-F082",
                f"node {name!r} ({node.kind}) leads nowhere or comes from nowhere",
                allowed="nodes between an Input and an Output",
            )
    kinds = {node.kind for node in nodes.values()}
    if not {"Input", "Output"} <= kinds:
        raise UnsupportedError("HSNN-F082", "the graph has no input or no output", allowed="one Input and one Output")


def _components(nodes: Iterable[str], readers: Mapping[str, list[str]]) -> list[list[str]]:
    """Strongly connected components in reverse dataflow order (Tarjan's algorithm, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    groups: list[list[str]] = []
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(readers[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, pending = work[-1]
            following = next(pending, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    cut = stack.index(name)
                    groups.append(stack[cut:])
                    on_stack.difference_update(stack[cut:])
                    del stack[cut:]
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(readers[following])))
            elif following in on_stack:
                low[name] = min(low[name], index[following])
    return groups


def _loop(
    group: list[str], nodes: Mapping[str, NirNode], feeds: Mapping[str, list[str]]
) -> tuple[str, tuple[str, ...]]:
    neurons = [name for name in group if nodes[name].kind in NEURONS]
    if len(neurons) != 1 or nodes[neurons[0]].kind not in ("IF", "LIF", "CubaLIF"):
        raise _loop_error(", ".join(sorted(group)[:6]), f"it has {len(neurons)} neurons")
    others = [name for name in group if name != neurons[0]]
    for name in others:
        if nodes[name].kind not in ("Linear", "Affine", "Scale"):
            raise _loop_error(neurons[0], f"{name!r} inside it is a {nodes[name].kind}")
        if any(source not in group for source in feeds[name]):
            raise _loop_error(neurons[0], f"{name!r} inside it is fed from outside")
    order: list[str] = []
    left = set(others)
    while left:
        ready = sorted(name for name in left if not left.intersection(feeds[name]))
        if not ready:
            raise _loop_error(neurons[0], "it has a loop without a neuron")
        order += ready
        left.difference_update(ready)
    return neurons[0], tuple(order)


def _loop_error(where: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        "HSNN-F086",
        f"the loop around {where!r} cannot be compiled: {why}",
        allowed="one IF, LIF or CubaLIF whose spikes come back through Linear, Affine and Scale nodes",
        fix="unroll it, or make each loop go through one population",
    )
