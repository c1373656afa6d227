"""Layered drawing of a graph: bands from top to bottom, each with layers of boxes, arrows leading down.

The steps are those of Sugiyama, Tagawa and Toda (1981): layers by longest path, bends where an arrow
passes a layer, an order within layers by barycenters, and positions that keep arrows straight. Every
step is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hsnn.report.graph_view import Edge, Graph, Node

Layers: TypeAlias = "list[list[str]]"
Links: TypeAlias = "list[tuple[str, str]]"

MARGIN = 168
"""Room for the names of the bands, left of the drawing; all lengths are in CSS pixels."""
GAP = 18
"""Between neighbours in a layer."""
EDGE = 12
"""Left and right of the drawing."""
BEND = 12
"""Room for an arrow that passes a layer."""
LAYER_GAP = 22
BAND_PADDING = 16
BAND_GAP = 10
SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node with its place; ``x`` and ``y`` are the middle."""

    node: Node
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge with the path of an SVG."""

    edge: Edge
    path: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Index of a band, with its top and height."""

    band: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything in its place.

    Attributes:
        margin: Room that the names of the lanes need, left of the drawing.
        width, height: Of the drawing, without the margin.
        lanes, boxes, arrows: Its parts.
    """

    margin: float
    width: float
    height: float
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def box_size(node: Node) -> tuple[float, float]:
    """Width and height of a node's box, from the length of its text."""
    if node.kind in ("port", "exit"):
        return max(64.0, 6.0 * len(node.label) + 20), 20.0
    text = max(6.9 * min(len(node.label), 30), 5.9 * min(len(node.detail), 34))
    return max(84.0, text + 24), 38.0 if node.detail else 26.0


def draw(graph: Graph) -> Drawing:
    """Give every band, node and edge its place."""
    sizes = {node.key: box_size(node) for node in graph.nodes}
    layer_of, band_of_layer = _layers(graph)
    chains, layers = _bends(graph, layer_of, len(band_of_layer))
    bends = {bend for chain in chains.values() for bend in chain[1:-1]}
    sizes.update(dict.fromkeys(bends, (float(BEND), 0.0)))
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    layers = _order(layers, links)
    x = _positions(layers, links, {key: width for key, (width, _) in sizes.items()})
    tops, lanes = _rows(layers, band_of_layer, {key: height for key, (_, height) in sizes.items()})
    places = {key: (x[key], tops[index]) for index, layer in enumerate(layers) for key in layer}
    for layer in layers:  # An arrow passes a layer straight, so that it does not cut the corners of boxes.
        height = max((sizes[key][1] for key in layer), default=0.0)
        sizes.update({key: (float(BEND), height) for key in layer if key in bends})
    boxes = tuple(Box(node, *places[node.key], *sizes[node.key]) for node in graph.nodes)
    arrows = tuple(Arrow(edge, _path(edge, chains, places, sizes)) for edge in graph.edges)
    loops = 30.0 if any(edge.kind == "loop" for edge in graph.edges) else 0.0
    right = max((box.x + box.width / 2 for box in boxes), default=0.0) + loops + EDGE
    bottom = lanes[-1].y + lanes[-1].height if lanes else 0.0
    return Drawing(MARGIN, right, bottom, lanes, boxes, arrows)


def _forward(graph: Graph) -> list[Edge]:
    return [edge for edge in graph.edges if edge.kind != "loop"]


def _layers(graph: Graph) -> tuple[dict[str, int], list[int]]:
    """Layer of each node, and the band of each layer."""
    band = {node.key: node.band for node in graph.nodes}
    local = dict.fromkeys(band, 0)
    inside = [edge for edge in _forward(graph) if band[edge.source] == band[edge.target]]
    after: dict[str, list[str]] = {key: [] for key in band}
    for edge in inside:
        after[edge.source].append(edge.target)
    for node in graph.nodes:
        for target in after[node.key]:
            local[target] = max(local[target], local[node.key] + 1)
    fed = {edge.target for edge in inside}
    for node in graph.nodes:
        if node.key not in fed and node.kind != "port" and after[node.key]:
            local[node.key] = min(local[target] for target in after[node.key]) - 1
    offsets, band_of_layer = [0], []
    for index in range(len(graph.bands)):
        members = [node for node in graph.nodes if node.band == index]
        depth = 1 + max((local[node.key] for node in members), default=0)
        for node in members:
            local[node.key] = depth - 1 if node.kind == "exit" else local[node.key]
        offsets.append(offsets[-1] + depth)
        band_of_layer += [index] * depth
    return {key: offsets[band[key]] + local[key] for key in band}, band_of_layer


def _bends(graph: Graph, layer_of: Mapping[str, int], number: int) -> tuple[dict[tuple[str, str], list[str]], Layers]:
    """Chain of nodes and bends for each pair of joined nodes, and all layers with the bends in them."""
    layers: Layers = [[] for _ in range(number)]
    for node in graph.nodes:
        layers[layer_of[node.key]].append(node.key)
    chains: dict[tuple[str, str], list[str]] = {}
    for edge in _forward(graph):
        pair = (edge.source, edge.target)
        if pair in chains:
            continue
        chain = [edge.source]
        for layer in range(layer_of[edge.source] + 1, layer_of[edge.target]):
            chain.append(f"bend {len(chains)} {layer}")
            layers[layer].append(chain[-1])
        chains[pair] = [*chain, edge.target]
    return chains, layers


def _order(layers: Layers, links: Links) -> Layers:
    """Sort every layer by the mean position of its neighbours, down and up, and keep the best order."""
    above, below = _neighbours(links)
    best, fewest = layers, _crossings(layers, below)
    current = layers
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        current = _sweep(current, above if down else below, down=down)
        found = _crossings(current, below)
        if found < fewest:
            best, fewest = current, found
    return best


def _sweep(layers: Layers, neighbours: Mapping[str, list[str]], *, down: bool) -> Layers:
    result = list(layers)
    place: dict[str, float] = {}
    for index in range(len(layers)) if down else reversed(range(len(layers))):
        layer = layers[index]
        near = {key: [place[item] for item in neighbours.get(key, ()) if item in place] for key in layer}
        rank = {key: sum(near[key]) / len(near[key]) if near[key] else float(at) for at, key in enumerate(layer)}
        result[index] = sorted(layer, key=lambda key: rank[key])
        place.update({key: float(at) for at, key in enumerate(result[index])})
    return result


def _crossings(layers: Layers, below: Mapping[str, list[str]]) -> int:
    """Number of pairs of links that cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {key: at for at, key in enumerate(lower)}
        ends = [at for key in upper for at in sorted(place[item] for item in below.get(key, ()))]
        total += sum(ends[i] > end for j, end in enumerate(ends) for i in range(j))
    return total


def _neighbours(links: Links) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def _positions(layers: Layers, links: Links, widths: Mapping[str, float]) -> dict[str, float]:
    """Middle of every box and bend: near the mean of its neighbours, and clear of its layer's others."""
    above, below = _neighbours(links)
    x: dict[str, float] = {}
    for layer in layers:
        x.update(zip(layer, _spread([0.0] * len(layer), [widths[key] for key in layer]), strict=True))
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            near = [[x[item] for item in (above if down else below).get(key, ())] for key in layer]
            wanted = [sum(xs) / len(xs) if xs else x[key] for key, xs in zip(layer, near, strict=True)]
            x.update(zip(layer, _spread(wanted, [widths[key] for key in layer]), strict=True))
    left = min((x[key] - widths[key] / 2 for key in x), default=0.0)
    return {key: round(value - left + EDGE, 1) for key, value in x.items()}


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Move positions as little as possible, in least squares, so that boxes in this order do not touch.

    Without the room that boxes take this is isotonic regression, solved by pooling neighbours.
    """
    room = [0.0]
    for left, right in pairwise(widths):
        room.append(room[-1] + (left + right) / 2 + GAP)
    pools: list[tuple[float, int]] = []
    for want, taken in zip(wanted, room, strict=False):
        total, members = want - taken, 1
        while pools and pools[-1][0] / pools[-1][1] > total / members:
            other, others = pools.pop()
            total, members = total + other, members + others
        pools.append((total, members))
    flat = [total / members for total, members in pools for _ in range(members)]
    return [value + taken for value, taken in zip(flat, room, strict=False)]


def _rows(
    layers: Layers, band_of_layer: Sequence[int], heights: Mapping[str, float]
) -> tuple[list[float], tuple[Lane, ...]]:
    """Middle of each layer from the top, and the lanes around them."""
    middles: list[float] = []
    lanes: list[Lane] = []
    y = start = 0.0
    for index, layer in enumerate(layers):
        if index == 0 or band_of_layer[index] != band_of_layer[index - 1]:
            start = y
            y += BAND_PADDING
        height = max((heights[key] for key in layer), default=0.0) or 20.0
        middles.append(y + height / 2)
        y += height
        if index + 1 < len(layers) and band_of_layer[index + 1] == band_of_layer[index]:
            y += LAYER_GAP
            continue
        y += BAND_PADDING
        lanes.append(Lane(band_of_layer[index], start, y - start))
        y += BAND_GAP
    return middles, tuple(lanes)


def _path(
    edge: Edge,
    chains: Mapping[tuple[str, str], list[str]],
    places: Mapping[str, tuple[float, float]],
    sizes: Mapping[str, tuple[float, float]],
) -> str:
    if edge.kind == "loop":
        return _loop_path(*places[edge.source], sizes[edge.source], *places[edge.target], sizes[edge.target])
    chain = chains[edge.source, edge.target]
    x, y = places[chain[0]]
    y += sizes[chain[0]][1] / 2
    path = f"M{x:g} {y:g}"
    for key in chain[1:]:
        to_x, to_y = places[key]
        end = to_y - sizes[key][1] / 2
        middle = (y + end) / 2
        path += f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {end:g}"
        x, y = to_x, to_y + sizes[key][1] / 2
        if key != chain[-1]:
            path += f"V{y:g}"
    return path


def _loop_path(
    x: float, y: float, box: tuple[float, float], to_x: float, to_y: float, to_box: tuple[float, float]
) -> str:
    """Out of the right side and back into it, higher up."""
    right, to_right = x + box[0] / 2, to_x + to_box[0] / 2
    y, to_y = y + box[1] / 4, to_y - to_box[1] / 4
    out = max(right, to_right) + 26
    return f"M{right:g} {y:g}C{out:g} {y:g} {out:g} {to_y:g} {to_right:g} {to_y:g}"
