"""Compare every layer of an integer run with the float simulation of the same samples.

Errors are those that reach a layer: what its own rounding adds, on top of what the layers before it
passed on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.shape import size
from hsnn.ir.spiking import FloatIntegrator, FloatLif, FloatNeuron, FloatSigmaDelta, SpikingGraph, counts_spikes
from hsnn.passes.quantization.quantize import LayerScale, Quantized
from hsnn.passes.simulation.simulate import Simulation
from hsnn.report.integer_states import replay
from hsnn.report.spike_quality import SpikeQuality, compare_spikes
from hsnn.target import SegmentResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.program import Json

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class LayerReport:
    """Quality of one population.

    Attributes:
        segment: Name of the segment.
        population: Name, unique in the segment.
        neurons: Number of neurons.
        spikes: Of LIF populations; None for others.
        voltage_error: Root mean square of the voltage error over that of the float voltage, of
            integrators; of sigma-delta populations the same of the sum of their messages so far; None for
            LIF populations.
        saturated: Share of voltage updates that were clipped, where it mattered.
        wrapped: Share of current updates that wrapped.
        quantization: What its own rounding changed.
    """

    segment: str
    population: str
    neurons: int
    spikes: SpikeQuality | None
    voltage_error: float | None
    saturated: float
    wrapped: float
    quantization: LayerScale

    def to_json(self) -> dict[str, Json]:
        """Return the report as plain data, with the scale and the worst signal to noise ratio on top."""
        layer = self.quantization
        return asdict(self) | {"scale": layer.scale, "weight_snr_db": layer.weight_snr_db}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for every layer.

    Rates say whether a layer still computes the same; F1 also asks for the same timesteps, which deep
    and recurrent networks lose first without harm. The defaults therefore stop layers that are broken,
    and let timing drift.

    Attributes:
        min_f1: Smallest F1 of spikes, 0 to 1.
        max_rate_error: Largest relative error of the spike rate of a layer.
        max_saturation: Largest share of updates that saturate the voltage or wrap the current.
        max_dead: Largest share of neurons that spike in float, more than once or twice, and never in integers.
        max_voltage_error: Largest relative RMS error of read-out voltages.
        min_spikes: F1, rate and dead neurons are judged where the float layer or the integer layer sends
            this many spikes or more; fewer are no evidence.
    """

    min_f1: float = 0.5
    max_rate_error: float = 0.2
    max_saturation: float = 0.001
    max_dead: float = 0.1
    max_voltage_error: float = 0.3
    min_spikes: int = 20

    def judges(self, spikes: SpikeQuality) -> bool:
        """Whether a layer sends enough spikes to say how well they agree."""
        return max(spikes.float_spikes, spikes.integer_spikes) >= self.min_spikes

    def to_json(self) -> dict[str, Json]:
        """Return the limits as plain data."""
        return asdict(self)


_KEYS = {
    "f1": "min_f1",
    "rate": "max_rate_error",
    "saturation": "max_saturation",
    "dead": "max_dead",
    "voltage": "max_voltage_error",
    "spikes": "min_spikes",
}


def compare_layers(
    graph: SpikingGraph,
    quantized: Quantized,
    simulation: Simulation,
    result: SegmentResult,
    *,
    payloads: Mapping[str, Int32],
) -> tuple[LayerReport, ...]:
    """Compare a run of the integers with the simulation of the floats.

    Args:
        graph: The segment.
        quantized: Its integers.
        simulation: Float run of a batch with all populations kept.
        result: Integer run of the same batch with ``trace``.
        payloads: What the integer run was fed.

    Raises:
        UsageError: ``HSNN-Q022`` if the two runs are not of the same batch with all spikes kept, or if the
            recorded spikes do not follow from the network and the payloads.
    """
    missing = [n.name for n in graph.neurons if n.name not in {**simulation.spikes, **simulation.voltages}]
    sending = (n for n in graph.neurons if not isinstance(n, FloatIntegrator))
    missing += [n.name for n in sending if n.name not in result.spikes]
    missing += [port.name for port in graph.inputs if port.name not in payloads]
    if missing:
        fix = "simulate with keep=None and run the target with trace=True"
        raise UsageError("HSNN-Q022", f"nothing is recorded of {', '.join(sorted(set(missing)))}", fix=fix)
    sent = {**{port.name: payloads[port.name] for port in graph.inputs}, **result.spikes}
    return tuple(_compare(neuron, quantized, simulation, sent) for neuron in graph.neurons)


def parse_limits(text: str) -> Limits:
    """Read limits such as ``f1=0.9,rate=0.1``; what is not named keeps its default.

    >>> parse_limits("f1=0.9,dead=0").min_f1
    0.9

    Raises:
        UsageError: ``HSNN-Q021`` if a name is unknown or given twice, or a value is not a number of 0 or more.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (item.strip() for item in part.partition("="))
        if key not in _KEYS or _KEYS[key] in values:
            raise UsageError(
                "HSNN-Q021",
                f"limit {part!r} is unknown or given twice",
                allowed=", ".join(_KEYS),
                fix="name each limit once, as --limit f1=0.9,rate=0.2",
            )
        values[_KEYS[key]] = _parse_value(part, value)
    spikes = int(values.pop("min_spikes", Limits().min_spikes))
    return Limits(**values, min_spikes=spikes)


def check_limits(
    reports: Iterable[LayerReport], limits: Limits | None = None, *, decoders: Collection[str] = ()
) -> None:
    """Check every layer.

    Args:
        reports: All layers.
        limits: The limits; the defaults if None.
        decoders: Integrators in the place of decoders of the host, where nothing judges a decoded value: its error is
            that of the spikes, which are judged where they are sent.

    Raises:
        QuantizationError: ``HSNN-Q020``, naming every layer and value beyond a limit.
    """
    judged = [replace(item, voltage_error=None) if item.population in decoders else item for item in reports]
    broken = [line for report in judged for line in _violations(report, limits or Limits())]
    if broken:
        raise QuantizationError(
            "HSNN-Q020",
            "quantization strays beyond the limits: " + "; ".join(broken),
            allowed="every layer within its limits",
            fix="calibrate with more samples, look at the layer report for weights that vanish or states that "
            "saturate, or widen the limits",
        )


def _compare(
    neuron: FloatNeuron, quantized: Quantized, simulation: Simulation, sent: Mapping[str, Int32]
) -> LayerReport:
    states = replay(quantized.network, neuron.name, sent)
    spikes: SpikeQuality | None = None
    voltage_error: float | None = None
    wanted: NDArray[np.generic]
    if isinstance(neuron, FloatLif):
        wanted = (simulation.voltages if counts_spikes(neuron) else simulation.spikes)[neuron.name]
        _check_recording(neuron.name, wanted, states.sent, sent[neuron.name])
        spikes = compare_spikes(wanted, states.sent)
    else:
        wanted = simulation.voltages[neuron.name]
        _check_recording(neuron.name, wanted, states.sent, states.sent)
        scale = quantized.output_scales[neuron.name]
        values, found = simulation.voltages[neuron.name], states.sent * scale
        if isinstance(neuron, FloatSigmaDelta):
            _check_recording(neuron.name, wanted, states.sent, sent[neuron.name])
            # Receivers add messages up, so a change that is sent a timestep later is a small error.
            values, found = values.cumsum(axis=0), found.cumsum(axis=0)
        voltage_error = _relative_rms(values, found)
    return LayerReport(
        quantized.network.name,
        neuron.name,
        size(neuron.shape),
        spikes,
        voltage_error,
        states.saturated,
        states.wrapped,
        quantized.layer(neuron.name),
    )


def _relative_rms(wanted: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    signal, noise = np.sqrt(np.mean(wanted**2)), np.sqrt(np.mean((found - wanted) ** 2))
    return float(noise / signal) if signal > 0.0 else float(noise > 0.0)


def _check_recording(name: str, wanted: NDArray[np.generic], replayed: Int32, recorded: Int32) -> None:
    if wanted.shape != replayed.shape:
        found = f"population {name!r} was simulated with shape {wanted.shape} and run with {replayed.shape}"
        raise UsageError("HSNN-Q022", found, allowed="the same batch in both runs")
    if recorded.shape != replayed.shape or not np.array_equal(recorded, replayed):
        raise UsageError(
            "HSNN-Q022",
            f"the recorded spikes of population {name!r} do not follow from the network and the payloads",
            allowed="a run of this network on these payloads by an exact target",
            fix="run the quantized network again; if a target differs from the reference, report it",
        )


def _parse_value(part: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0.0 <= number < math.inf:
        raise UsageError(
            "HSNN-Q021",
            f"limit {part!r} has no number",
            allowed="name=value with 0 or more",
            fix="write --limit f1=0.9,rate=0.2",
        )
    if part.startswith("f1") and number > 1.0:
        raise UsageError(
            "HSNN-Q021",
            f"limit {part!r} can never be met",
            allowed="f1 from 0 to 1",
            fix="choose a number within the range",
        )
    return number


def _violations(report: LayerReport, limits: Limits) -> Iterator[str]:
    lost = report.saturated + report.wrapped
    if lost > limits.max_saturation:
        yield f"{report.population!r} saturates or wraps in {lost:.3%} of updates (limit {limits.max_saturation:.3%})"
    if report.voltage_error is not None and report.voltage_error > limits.max_voltage_error:
        yield f"{report.population!r} has voltage error {report.voltage_error:.3f} (limit {limits.max_voltage_error:g})"
    spikes = report.spikes
    if spikes is None or not limits.judges(spikes):
        return
    dead = spikes.newly_dead / report.neurons
    if spikes.f1 < limits.min_f1:
        yield f"{report.population!r} has F1 {spikes.f1:.3f} (limit {limits.min_f1:g})"
    if spikes.rate_error > limits.max_rate_error:
        yield f"{report.population!r} has rate error {spikes.rate_error:.3f} (limit {limits.max_rate_error:g})"
    if dead > limits.max_dead:
        yield f"{report.population!r} has {dead:.1%} newly dead neurons (limit {limits.max_dead:.1%})"
