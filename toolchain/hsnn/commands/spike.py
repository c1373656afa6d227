"""``--spike``: a plain ONNX network whose marked activations become spiking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel

COMPARED = 64
"""Calibration samples on which a conversion is compared with its network."""
LONGEST = 256
"""Timesteps that ``--spike-timesteps auto`` tries at most."""


def converted(args: argparse.Namespace) -> HybridModel:
    """Convert the network that the arguments name, compare it over timesteps, and draw that where asked to.

    Raises:
        UsageError: HSNN-U149 for a model that is no ONNX file, or other wrong use; as the conversion.
    """
    from hsnn.commands.files import check_free
    from hsnn.commands.models import is_onnx
    from hsnn.frontends.spike.convert import SpikeOptions, from_ann
    from hsnn.frontends.spike.curve import spike_curve, with_curve
    from hsnn.report.spike_curve import curve_svg

    if not is_onnx(args.model) or args.weights is not None:
        raise UsageError(
            "HSNN-U149",
            f"--spike is given for {args.model!r}",
            allowed="an .onnx file of a plain network",
            fix="leave it out, or export the network without its spiking layers",
        )
    if args.spike_plot is not None:
        check_free(Path(args.spike_plot), force=args.force)
    asked = SpikeOptions(tuple(args.spike), args.spike_timesteps or LONGEST, args.spike_percentile)
    samples, labels = _samples(args)
    few = {name: array[:COMPARED] for name, array in samples.items()}
    curve = spike_curve(args.model, few, asked, None if labels is None else labels[:COMPARED])
    if args.spike_plot is not None:
        Path(args.spike_plot).write_text(curve_svg(curve), encoding="utf-8")
    chosen = asked if args.spike_timesteps else replace(asked, timesteps=curve.enough)
    return with_curve(from_ann(args.model, samples, chosen), curve)


def _samples(args: argparse.Namespace) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """Calibration samples by input, and their labels if ``--label-key`` names them."""
    import numpy as np

    from hsnn.commands.arrays import load_arrays, select_inputs, select_labels
    from hsnn.ir.hybrid import read_model

    graph = read_model(args.model).graph
    fixed = {item.name for item in graph.initializer}
    names = [item.name for item in graph.input if item.name not in fixed]
    ignore = () if args.label_key is None else (args.label_key,)
    arrays = load_arrays(args.calibration, "calibration")
    found = select_inputs(arrays, names, path=args.calibration, what="calibration", ignore=ignore)
    samples = {name: np.asarray(array[: args.calibration_samples], np.float32) for name, array in found.items()}
    if args.label_key is None:
        return samples, None
    count = max(len(array) for array in found.values())
    classes = np.iinfo(np.int64).max  # any: only the network knows how many it has
    return samples, select_labels(arrays, args.label_key, path=args.calibration, samples=count, classes=classes)
