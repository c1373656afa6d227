"""``--spike``: a plain ONNX network whose marked activations become spiking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel

COMPARED = 64
"""Calibration samples on which a conversion is compared with its network."""


def converted(args: argparse.Namespace) -> HybridModel:
    """Convert the network that the arguments name, compare it over timesteps, and draw that where asked to.

    Raises:
        UsageError: HSNN-U149 for a model that is no ONNX file, or other wrong use; as the conversion.
    """
    from hsnn.commands.files import check_free
    from hsnn.commands.models import is_onnx
    from hsnn.frontends.spike import SpikeOptions, curve_svg, error_over_time, from_ann, with_curve

    if not is_onnx(args.model) or args.weights is not None:
        raise UsageError(
            "HSNN-U149", f"--spike is given for {args.model!r}", allowed="an .onnx file of a plain network"
        )
    if args.spike_plot is not None:
        check_free(Path(args.spike_plot), force=args.force)
    chosen = SpikeOptions(tuple(args.spike), args.spike_timesteps, args.spike_percentile)
    samples = _samples(args)
    few = {name: array[:COMPARED] for name, array in samples.items()}
    hybrid = from_ann(args.model, samples, chosen)
    curve = error_over_time(args.model, few, chosen)
    if args.spike_plot is not None:
        Path(args.spike_plot).write_text(curve_svg(curve), encoding="utf-8")
    return with_curve(hybrid, curve)


def _samples(args: argparse.Namespace) -> dict[str, NDArray[Any]]:
    import numpy as np

    from hsnn.commands.arrays import load_arrays, select_inputs
    from hsnn.ir.hybrid import read_model

    graph = read_model(args.model).graph
    fixed = {item.name for item in graph.initializer}
    names = [item.name for item in graph.input if item.name not in fixed]
    ignore = () if args.label_key is None else (args.label_key,)
    arrays = load_arrays(args.calibration, "calibration")
    found = select_inputs(arrays, names, path=args.calibration, what="calibration", ignore=ignore)
    return {name: np.asarray(array[: args.calibration_samples], np.float32) for name, array in found.items()}
