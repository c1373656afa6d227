"""``hsnn-compile build``: a model becomes an artifact."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hsnn.commands import options, values
from hsnn.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.commands.console import Console, StageProgress
    from hsnn.commands.models import Model, Samples
    from hsnn.ir.hybrid import HybridModel
    from hsnn.program import Json, Program
    from hsnn.verify.ladder import VerifyReport

USAGE = "[build] MODEL --calibration FILE [options]"
HELP = "compile a model into an artifact (the default)"
DESCRIPTION = """\
Compile a hybrid model: split it into host and chip parts, calibrate and quantize the spiking parts, place
them on the chip, and write one artifact that holds everything a run needs. The tables say where every
operator went and why, what crosses between host and chip, and what the integers cost in accuracy.
"""
EPILOG = """\
The calibration file holds real inputs of the model, from training data, one row a sample:
  numpy.savez("samples.npz", x=images[:256])

examples:
  hsnn-compile my_model:network --weights weights.safetensors --calibration samples.npz
  hsnn-compile build network.onnx --calibration samples.npz -o network.hsnn --verify
  hsnn-compile network.net --schedule slayer --timesteps 32
  hsnn-compile network.nir --nir-policy spikingjelly --timesteps 32 --calibration samples.npz
  hsnn-compile ann.onnx --spike 'layer3.*' --spike-plot curve.svg --calibration samples.npz
  hsnn-compile my_model:network --calibration samples.npz --pin 'head.*=host' --limit f1=0.9
"""
_HOW_TO_CALIBRATE = (
    "save some training inputs, numpy.savez('samples.npz', x=images[:256]), and add --calibration samples.npz"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    options.add_netx_and_nir(parser)
    group = parser.add_argument_group("calibration and quantization")
    group.add_argument(
        "--calibration",
        metavar="FILE",
        help="an .npz or .npy with real inputs; they choose the integers' scales. A .net file has its integers: "
        "without samples, random ones are recorded",
    )
    group.add_argument(
        "--calibration-samples",
        type=values.positive,
        default=options.CALIBRATION_SAMPLES,
        metavar="N",
        help=f"use at most so many of them (default {options.CALIBRATION_SAMPLES})",
    )
    group.add_argument(
        "--payload-bits",
        type=values.positive,
        default=options.PAYLOAD_BITS,
        metavar="N",
        help=f"bits of a graded spike, 1 to 24 (default {options.PAYLOAD_BITS})",
    )
    group.add_argument(
        "--margin",
        type=values.real,
        default=options.MARGIN,
        metavar="X",
        help="leave integers room for so many times what calibration saw, 1 to 1024: more is safer for unusual "
        f"samples, and coarser (default {options.MARGIN:g})",
    )
    options.add_limits(group)
    group.add_argument(
        "--decode",
        choices=("auto", "host", "chip"),
        default=options.DECODE,
        help="where weighted sums over time are decoded: on the host, by integrators on the chip, or, with auto, where "
        f"less crosses (default {options.DECODE})",
    )
    group.add_argument(
        "--freeze-rescale",
        action="store_true",
        help="give encoders that rescale over the batch the scale of the calibration samples, so that samples are "
        "independent, and tell what that costs",
    )
    group.add_argument(
        "--freeze-batch",
        type=values.positive,
        default=options.FREEZE_BATCH,
        metavar="N",
        help=f"samples in a batch whose scale is frozen, as in training (default {options.FREEZE_BATCH})",
    )
    group.add_argument(
        "--label-key",
        metavar="NAME",
        help="array with the labels in the calibration file: what --freeze-rescale and --spike cost is then accuracy",
    )
    group.add_argument(
        "--seed", type=values.natural, default=options.SEED, help=f"recorded in the artifact (default {options.SEED})"
    )
    options.add_spike(parser)
    options.add_placement(parser)
    output = parser.add_argument_group("artifact")
    output.add_argument(
        "-o", "--output", metavar="PATH", help="folder to write, or one file if it ends in .zip (default: NAME.hsnn)"
    )
    output.add_argument("--force", action="store_true", help="replace an artifact that is there")
    output.add_argument(
        "--no-reference", action="store_true", help="leave the float model out: smaller, but verify has less to compare"
    )
    output.add_argument("--verify", action="store_true", help="verify the artifact as soon as it is written")
    output.add_argument("--explain", action="store_true", help="list every operator, however many there are")


def run(args: argparse.Namespace, console: Console) -> int:
    """Build, save, and maybe verify."""
    from hsnn.commands.describe import describe_build
    from hsnn.commands.files import check_free

    start = time.perf_counter()
    path = Path(args.output or _default_output(args.model))
    check_free(path, force=args.force)
    with console.progress() as progress:
        program, model = _compile(args, progress)
        program.save(path, overwrite=args.force)
        seconds = time.perf_counter() - start
        proof = _verify(path, model, args, progress) if args.verify else None
    result: dict[str, Json] = {
        "verb": "build",
        "artifact": str(path),
        "seconds": seconds,
        **describe_build(program),
    }
    if proof is None:
        console.result(result, lambda: _render(program, result, args, console))
        console.hint(f"next: hsnn-compile verify {path}")
        return 0
    from hsnn.commands import verify

    return verify.finish(
        proof, {**result, "verify": verify.describe(proof)}, console, lambda: _render(program, result, args, console)
    )


def _compile(args: argparse.Namespace, progress: StageProgress) -> tuple[Program, Model]:
    """Load what the arguments name and compile it."""
    from hsnn.commands.files import require_file
    from hsnn.commands.models import example_inputs, is_netx, load_samples, named_model, require_model

    require_model(args.model)
    if args.calibration is None and not is_netx(args.model):
        raise UsageError("HSNN-U138", "there is nothing to calibrate with", fix=_HOW_TO_CALIBRATE)
    for name in ("calibration", "weights", "example"):
        require_file(getattr(args, name), name)
    chosen = options.compile_options(args)
    if args.spike:
        from hsnn.commands.spike import converted

        model: Model = converted(args)
    else:
        model = named_model(args)
    ignore = () if args.label_key is None else (args.label_key,)
    if args.calibration is None:
        from hsnn.frontends.netx.samples import random_samples

        # Only a .net file gets here without samples, and that is a hybrid model by now.
        samples: Samples = random_samples(cast("HybridModel", model), seed=args.seed)
    else:
        samples = load_samples(args.calibration, model, "calibration", ignore=ignore)
    from hsnn.compiler import compile

    program = compile(
        model,
        samples,
        labels=_labels(args),
        example_inputs=example_inputs(args, model),
        options=chosen,
        progress=progress,
        source=args.model,
    )
    return program, model


def _labels(args: argparse.Namespace) -> NDArray[Any] | None:
    """Read the labels of the calibration samples, if they are named.

    Raises:
        UsageError: HSNN-U126, if there is no such array.
    """
    from hsnn.commands.arrays import load_arrays

    if args.label_key is None or args.calibration is None:
        return None
    arrays = load_arrays(args.calibration, "calibration")
    if args.label_key not in arrays:
        raise UsageError(
            "HSNN-U126",
            f"{args.calibration!r} has no array {args.label_key!r}",
            allowed=", ".join(sorted(arrays)),
            fix="name one of them with --label-key",
        )
    return arrays[args.label_key]


def _verify(path: Path, model: Model, args: argparse.Namespace, progress: StageProgress) -> VerifyReport:
    """Verify what is on disk, not what is in memory."""
    from torch.nn import Module

    from hsnn.artifact import load
    from hsnn.commands.verify import one_at_a_time
    from hsnn.verify.ladder import verify

    module = model if isinstance(model, Module) else None
    return verify(load(path), model=module, target=args.target, progress=one_at_a_time(progress))


def _default_output(model: str) -> str:
    from hsnn.commands.models import default_name

    return f"{default_name(model)}.hsnn"


def _render(program: Program, result: dict[str, Json], args: argparse.Namespace, console: Console) -> Iterator[object]:
    from hsnn.report import text

    if not console.quiet:
        for table in (
            text.partition_table(program, explain=args.explain),
            text.spike_table(program),
            text.frozen_table(program),
            text.cuts_table(program),
            text.layers_table(program),
            text.mapping_table(program),
        ):
            if table is not None:
                yield table
                yield ""
    record = program.metadata.options.get("import")
    if isinstance(record, Mapping) and "alignment" in record:
        yield str(record["alignment"])
    yield f"wrote {result['artifact']} in {result['seconds']:.1f} s"
