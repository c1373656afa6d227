"""Order populations so that everything a population needs comes before it, cycles kept together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def components(successors: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Find the strongly connected components of a graph, in topological order.

    Tarjan's algorithm without recursion.

    Args:
        successors: For each node, the nodes that its edges lead to.

    Returns:
        Components, each in the order of ``successors``; no edge leads from a later one to an earlier.

    >>> components({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []})
    (('a',), ('b', 'c'), ('d',))
    """
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_nodes: list[str] = []
    found: list[tuple[str, ...]] = []
    position = {name: place for place, name in enumerate(successors)}
    for root in successors:
        path = [(root, iter(successors[root]))] if root not in index else []
        while path:
            node, rest = path[-1]
            if node not in index:
                index[node] = lowest[node] = len(index)
                open_nodes.append(node)
            follower = next((n for n in rest if n not in index or n in open_nodes), None)
            if follower is None:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
                if lowest[node] == index[node]:
                    found.append(_close(node, open_nodes, position))
            elif follower in index:
                lowest[node] = min(lowest[node], index[follower])
            else:
                path.append((follower, iter(successors[follower])))
    return tuple(reversed(found))


def _close(root: str, open_nodes: list[str], position: Mapping[str, int]) -> tuple[str, ...]:
    """Take the component whose first visited node is ``root`` off the open nodes."""
    start = open_nodes.index(root)
    members = open_nodes[start:]
    del open_nodes[start:]
    return tuple(sorted(members, key=position.__getitem__))
