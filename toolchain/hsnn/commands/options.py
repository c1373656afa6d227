"""Arguments that several verbs take, and what is made of them: targets, limits, the options of a build."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from hsnn.commands.calling import add_calling
from hsnn.commands.values import pin, positive, real, seconds, spike_timesteps
from hsnn.errors import UsageError

if TYPE_CHECKING:
    from hsnn.compiler import Options
    from hsnn.report.layers import Limits
    from hsnn.target import Target

TARGET = "loihi2-sim"
CHIP = "loihi2"
PAYLOAD_BITS = 8
MARGIN = 2.0
CALIBRATION_SAMPLES = 256
FREEZE_BATCH = 64
DECODE = "auto"
SEED = 0
"""What is used where the command line says nothing; a test holds them to :class:`hsnn.compiler.Options`."""
SYNAPSES = ("auto", "products", "events")
"""How the emulator may run synapses; a test holds them to what it knows."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the model and how to load it."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "model",
        metavar="MODEL",
        help="a function that returns a torch module, written package.module:function, a hybrid .onnx file, a .net "
        "file of lava-dl, or a .nir file",
    )
    add_weights(group)
    add_example(group)


def add_example(group: argparse._ArgumentGroup) -> None:
    """Declare what a torch model is traced with."""
    group.add_argument(
        "--input-shape",
        metavar="SHAPE",
        help="shape of one sample, such as 1x28x28, for a torch model with one input; of one timestep for a .net file",
    )
    group.add_argument(
        "--example", metavar="FILE", help="an .npz with samples, named as the arguments of the module's forward"
    )
    add_calling(group)


def add_netx_and_nir(parser: argparse.ArgumentParser) -> None:
    """Declare what .net and .nir files leave open."""
    group = parser.add_argument_group("a .net file of lava-dl, or a .nir file")
    group.add_argument(
        "--nir-policy",
        metavar="NAME",
        help="what a .nir file leaves open: the library that wrote it, such as spikingjelly, and changes of that, such "
        "as norse,dt=0.01; without it all names are listed",
    )
    group.add_argument(
        "--schedule",
        choices=("lava", "slayer"),
        help="when its layers work: as netx runs them on Lava with a pipelined reset, which is what slayer trains with "
        "delay_shift=False (lava, the default), or as slayer trains with delay_shift=True (slayer)",
    )
    group.add_argument(
        "--timesteps",
        type=positive,
        metavar="N",
        help="timesteps of a sample, where the file does not say them: always with .nir",
    )
    group.add_argument(
        "--static-input", action="store_true", help="its input is one array a sample, the same at every timestep"
    )


def add_spike(parser: argparse.ArgumentParser) -> None:
    """Declare how activations of a plain ONNX network become spiking."""
    group = parser.add_argument_group("a plain .onnx network without spikes")
    group.add_argument(
        "--spike",
        action="append",
        default=[],
        metavar="GLOB",
        help="make neurons of matching Relu nodes: --spike 'layer3.*' (may be repeated)",
    )
    group.add_argument(
        "--spike-timesteps",
        type=spike_timesteps,
        default=32,
        metavar="N|auto",
        help="timesteps of a sample (default 32); auto takes the fewest, up to 256, that lose no more than a point",
    )
    group.add_argument(
        "--spike-percentile",
        type=real,
        default=99.9,
        metavar="P",
        help="percentile of the activations of a layer that its threshold is (default 99.9)",
    )
    group.add_argument("--spike-plot", metavar="FILE", help="draw accuracy and error against timesteps into this .svg")


def add_weights(group: argparse._ArgumentGroup) -> None:
    """Declare the file of trained weights."""
    group.add_argument(
        "--weights", metavar="FILE", help="trained weights: a .safetensors file or a state dict that torch.save wrote"
    )


def add_placement(parser: argparse.ArgumentParser) -> None:
    """Declare where things may go."""
    group = parser.add_argument_group("placement")
    group.add_argument("--target", default=TARGET, help=f"what to compile for (default {TARGET}); see: targets")
    group.add_argument(
        "--chip", default=CHIP, metavar="NAME|FILE", help=f"chip that it has to fit: a name or a .toml (default {CHIP})"
    )
    group.add_argument(
        "--pin",
        action="append",
        default=[],
        type=pin,
        metavar="GLOB=PLACE",
        help="run matching modules or nodes on the host or on the chip: --pin 'head.*=host' (may be repeated)",
    )


def compile_options(args: argparse.Namespace) -> Options:
    """Collect the options of ``compile`` and ``check``.

    Raises:
        UsageError: For a limit that is unknown or has no number.
        TargetMissingError: HSNN-T001 for a target that is not installed.
    """
    from hsnn.compiler import Options
    from hsnn.target import find_target, target_names

    if args.target not in target_names():
        find_target(args.target)

    options = Options(target=args.target, chip=args.chip, pins=tuple(args.pin))
    if "payload_bits" not in args:
        return options
    return replace(
        options,
        payload_bits=args.payload_bits,
        margin=args.margin,
        calibration_samples=args.calibration_samples,
        decode=args.decode,
        freeze_rescale=args.freeze_batch if args.freeze_rescale else None,
        keep_reference=not args.no_reference,
        seed=args.seed,
        limits=limits(args),
    )


def add_artifact(group: argparse._ArgumentGroup, help_text: str = "a folder or .zip that hsnn-compile wrote") -> None:
    """Declare the artifact."""
    group.add_argument("artifact", metavar="ARTIFACT", help=help_text)


def add_input(group: argparse._ArgumentGroup, *, required: bool = False, what: str = "") -> None:
    """Declare the file of samples; ``what`` goes before what it has to be."""
    text = f"{what}an .npz with an array for each input, or an .npy; one row a sample"
    group.add_argument("-i", "--input", required=required, metavar="FILE", help=text)


def add_host(group: argparse._ArgumentGroup) -> None:
    """Declare where host parts run."""
    group.add_argument("--host", default="cpu", help="where host parts run: cpu (default), cuda, ...; see: targets")


def add_limits(group: argparse._ArgumentGroup) -> None:
    """Declare the limits of the errors that integers may bring."""
    group.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=NUMBER,...",
        help="how far integers may stray from floats before it is an error: --limit f1=0.9,rate=0.2",
    )


def add_timeout(group: argparse._ArgumentGroup) -> None:
    """Declare how long a target may stand still."""
    group.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="give up after so long without any progress of the target"
    )


def add_target(
    group: argparse._ArgumentGroup,
    *,
    default: str = "emulator",
    what: str = "where spiking parts run (default emulator); see: targets",
) -> None:
    """Declare where spiking parts run; :func:`find_device_target` finds it."""
    group.add_argument("--target", default=default, help=what)
    group.add_argument("--device", metavar="NAME", help="device of --target gpu: cuda (default), cuda:1, ... or cpu")


def find_device_target(name: str, device: str | None) -> Target:
    """Find a target, on a device where one is named.

    Raises:
        TargetMissingError: HSNN-T001 for a target that is not installed.
        UsageError: HSNN-U051 for a device of a target that has no choice of them.
    """
    from hsnn.target import find_target

    target = find_target(name)
    if device is None:
        return target
    on: Callable[[str], Target] | None = getattr(target, "on", None)
    if on is None:
        raise UsageError(
            "HSNN-U051",
            f"--device is {device!r}, but target {name!r} has no choice of devices",
            fix="leave it out, or choose --target gpu",
        )
    return on(device)


def add_kernels(group: argparse._ArgumentGroup) -> None:
    """Declare how the emulator runs."""
    group.add_argument(
        "--synapses",
        choices=SYNAPSES,
        help="emulator: run synapses as matrix products or as events (default auto: by the activity of each layer)",
    )
    group.add_argument("--tier", help="emulator: kernels to use (default: the fastest that this processor has)")
    group.add_argument(
        "--threads", type=positive, metavar="N", help="emulator: most threads (default: processors, up to 4)"
    )


def tune(target: Target, **chosen: object) -> Target:
    """Set options of a target; those that are None stay what they are.

    Raises:
        UsageError: HSNN-U053 for an option that the target lacks.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    known: set[str] = {field.name for field in fields(target)} if is_dataclass(target) else set()
    unknown = ", ".join(f"--{name}" for name in given if name not in known)
    if unknown:
        raise UsageError(
            "HSNN-U053", f"target {target.name!r} has no {unknown}", fix="leave it out, or choose --target emulator"
        )
    return replace(cast("Any", target), **given) if given else target


def limits(args: argparse.Namespace) -> Limits:
    """Read the limits; what is not named keeps its default.

    Raises:
        UsageError: For a limit that is unknown, given twice, or without a number.
    """
    from hsnn.report.layers import parse_limits

    return parse_limits(",".join(args.limit))
