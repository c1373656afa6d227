"""The equations of the NIR paper, written down on their own."""

from __future__ import annotations

import numpy as np
import pytest

nir = pytest.importorskip("nir")


def simulate(graph, x, policy):
    """Run a graph without nesting on ``x``, ``(time, *feature)``; loops are one timestep late."""
    state = {name: {} for name in graph.nodes}
    order = ordered(graph)
    back = {b: a for a, b in graph.edges if b.startswith("rec")}
    # What comes back is a function of the spikes of the timestep before, of which there are none at first.
    returned = {b: step(graph.nodes[b], np.zeros(graph.nodes[a].r.shape), {}, policy) for b, a in back.items()}
    outputs = []
    for t in range(len(x)):
        sent = {}
        for name in order:
            node = graph.nodes[name]
            feeds = [a for a, b in graph.edges if b == name]
            total = sum(sent[a] if a in sent else returned[a] for a in feeds)
            sent[name] = x[t] if isinstance(node, nir.Input) else step(node, total, state[name], policy)
        returned = {b: step(graph.nodes[b], sent[a], {}, policy) for b, a in back.items()}
        outputs.append(sent["output"])
    return np.stack(outputs)


def ordered(graph):
    names = [n for n in graph.nodes if not n.startswith("rec")]
    done = []
    while names:
        ready = [n for n in names if all(a in done or a.startswith("rec") for a, b in graph.edges if b == n)]
        done += ready
        names = [n for n in names if n not in ready]
    return done


def decay(tau, policy):
    ratio = policy.dt / (tau / policy.dt if policy.tau == "times_dt" else tau)
    return ratio if policy.integrator == "euler" else 1 - np.exp(-ratio)


def step(node, x, state, policy):
    kind = type(node).__name__
    if kind in ("Output", "Identity"):
        return x
    if kind == "Affine":
        return x @ node.weight.T + node.bias
    if kind == "Linear":
        return x @ node.weight.T
    if kind == "Scale":
        return x * node.scale
    if kind == "Flatten":
        return np.reshape(x, node.output_type["output"])
    if kind in ("Conv1d", "Conv2d"):
        return convolve(node, x)
    if kind in ("SumPool2d", "AvgPool2d"):
        return pool(node, x, mean=kind == "AvgPool2d")
    if kind == "Threshold":
        return spike(x, node.threshold, policy)
    if kind == "Delay":
        line = state.setdefault("line", [])
        line.append(x)
        steps = np.rint(node.delay / policy.dt).astype(int)
        return sum(np.where(steps == k, line[-1 - k] if k < len(line) else 0.0, 0.0) for k in np.unique(steps))
    return neuron(kind, node, x, state, policy)


def neuron(kind, node, x, state, policy):
    rest = getattr(node, "v_leak", np.zeros(node.r.shape))
    reset = getattr(node, "v_reset", np.zeros(node.r.shape))
    start = {"zero": 0 * rest, "leak": rest, "reset": reset}[policy.initial] + 0 * node.r
    v = state.get("v", start)
    drive = x
    if kind.startswith("Cuba"):
        d = decay(node.tau_syn, policy)
        state["i"] = (1 - d) * state.get("i", 0 * node.r) + (d if policy.synapse == "ode" else 1) * node.w_in * x
        drive = state["i"]
    if kind in ("I", "IF"):
        v = v + (policy.dt if policy.integrate == "dt" else 1) * node.r * drive
    else:
        d = decay(node.tau_mem if kind.startswith("Cuba") else node.tau, policy)
        v = v + d * (rest - v) + (d if policy.gain == "decay" else 1) * node.r * drive
    if kind in ("I", "LI", "CubaLI"):
        state["v"] = v
        return v
    if policy.reset == "subtract_next":
        v = v - state.get("s", 0) * node.v_threshold
    if policy.reset == "zero_next":
        v = np.where(state.get("s", 0 * node.r) == 1, 0, v)
    s = spike(v, node.v_threshold, policy)
    if policy.spikes == "many":
        s = np.floor(np.maximum(v, 0.0) / node.v_threshold)
    if policy.reset == "value":
        v = np.where(s > 0, reset, v)
    if policy.reset == "subtract":
        v = v - s * node.v_threshold
    if policy.floor == "threshold":
        v = np.maximum(v, -node.v_threshold)
    state["v"], state["s"] = v, s
    return s


def spike(v, threshold, policy):
    return (v > threshold if policy.comparison == ">" else v >= threshold).astype(float)


def convolve(node, x):
    axes = node.weight.ndim - 2
    stride, dilation = (np.broadcast_to(np.asarray(i).reshape(-1), (axes,)) for i in (node.stride, node.dilation))
    kernel = node.weight.shape[2:]
    if isinstance(node.padding, str):
        total = [d * (k - 1) if node.padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(p, p) for p in np.broadcast_to(np.asarray(node.padding).reshape(-1), (axes,))]
    padded = np.pad(x, [(0, 0), *pads])
    size = [
        (n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded.shape[1:], dilation, kernel, stride, strict=True)
    ]
    out = np.zeros((node.weight.shape[0], *size)) + node.bias.reshape(-1, *[1] * axes)
    per_group = node.weight.shape[0] // node.groups
    width = node.weight.shape[1]
    for post in range(node.weight.shape[0]):
        first = post // per_group * width
        for place in np.ndindex(*size):
            window = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, d, k in zip(place, stride, dilation, kernel, strict=True)
            )
            out[(post, *place)] += np.sum(padded[(slice(first, first + width), *window)] * node.weight[post])
    return out


def pool(node, x, *, mean):
    kernel, stride, pad = (
        np.asarray(i).reshape(-1) * np.ones(2, int) for i in (node.kernel_size, node.stride, node.padding)
    )
    padded = np.pad(x, [(0, 0), (pad[0], pad[0]), (pad[1], pad[1])])
    size = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], kernel, stride, strict=True)]
    out = np.zeros((x.shape[0], *size))
    for i, j in np.ndindex(*size):
        a, b = i * stride[0], j * stride[1]
        out[:, i, j] = padded[:, a : a + kernel[0], b : b + kernel[1]].sum(axis=(1, 2))
    return out / kernel.prod() if mean else out
