"""``hsnn-compile export``: a model, or its integers, in the format of another program."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hsnn.commands import options
from hsnn.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.ir.hybrid import HybridModel
    from hsnn.passes.partition.cutting import Side
    from hsnn.program import Json, Program

    Pins: TypeAlias = tuple[tuple[str, Side], ...]

USAGE = "export ARTIFACT|MODEL --to netx|nir|onnx -o FILE"
HELP = "write a model, or its integers, for another program"
DESCRIPTION = """\
Write a compiled model in the format of another program. What that format does not know, or what that
program would compute otherwise, is an error that names it.

  netx  the integers of the spiking segment; parts that run on the host are not written
  nir   the float model of the spiking segment, for the programs that read NIR; likewise
  onnx  the whole float model, which ONNX Runtime runs without hsnn
"""
EPILOG = """\
examples:
  hsnn-compile export network.hsnn --to netx -o network.net
  hsnn-compile export network.hsnn --to nir -o network.nir
  hsnn-compile export network.onnx --to nir --nir-policy norse -o network.nir
  hsnn-compile export my_model:network --weights trained.safetensors --input-shape 1x28x28 --to nir -o network.nir
  hsnn-compile export network.hsnn --to onnx -o network.onnx
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("artifact")
    group.add_argument(
        "artifact",
        metavar="ARTIFACT",
        help="a folder or .zip that hsnn-compile wrote; for nir and onnx, which need no integers, also a hybrid .onnx "
        "file or a function that returns a torch module, written package.module:function",
    )
    model = parser.add_argument_group("a torch module")
    options.add_weights(model)
    options.add_example(model)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--to", choices=("netx", "nir", "onnx"), required=True, help="format: netx is lava-dl's .net, nir is .nir"
    )
    output.add_argument(
        "--nir-policy",
        metavar="NAME",
        help="nir: write for a reader that understands NIR as this policy says, such as spikingjelly; without it NIR's "
        "own equations with a timestep of 1e-4 s",
    )
    output.add_argument(
        "--inline", action="store_true", help="onnx: no functions, standard operators only; hsnn cannot read it back"
    )
    output.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write")
    output.add_argument("--force", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace, console: Console) -> int:
    """Load, write and tell what was written."""
    from hsnn.commands.files import check_free, write_whole

    _check_options(args)
    path = Path(args.output)
    check_free(path, force=args.force)
    data, facts, said = {"netx": _netx, "nir": _nir, "onnx": _onnx}[args.to](args)
    write_whole(path, lambda file: file.write(data))
    result: dict[str, Json] = {
        "verb": "export",
        "artifact": args.artifact,
        "format": args.to,
        "output": str(path),
        **facts,
    }
    console.result(result, lambda: [f"wrote {path}: {said[0]}", *said[1:]])
    return 0


def _check_options(args: argparse.Namespace) -> None:
    from hsnn.commands.calling import refuse_calling

    for option, given, format_ in (("--nir-policy", args.nir_policy, "nir"), ("--inline", args.inline, "onnx")):
        if given and args.to != format_:
            raise UsageError(
                "HSNN-U152", f"{option} is given with --to {args.to}", allowed=f"--to {format_}", fix="leave it out"
            )
    if not _is_factory(args.artifact):
        refuse_calling(args)
        for name in ("weights", "input_shape", "example"):
            if getattr(args, name) is not None:
                found = f"--{name.replace('_', '-')} is given for {args.artifact!r}"
                raise UsageError("HSNN-U152", found, allowed="with package.module:function", fix="leave it out")
    elif args.to == "netx":
        raise UsageError(
            "HSNN-U155",
            f"{args.artifact!r} is a torch module, and a .net file holds integers",
            allowed="an artifact",
            fix=f"build it first: hsnn-compile {args.artifact} --calibration samples.npz -o network.hsnn, then "
            "hsnn-compile export network.hsnn --to netx -o FILE",
        )


def _is_factory(text: str) -> bool:
    """Whether a text is ``package.module:function`` rather than a path."""
    from hsnn.commands.models import is_file

    return ":" in text and not is_file(text) and not Path(text).exists()


def _netx(args: argparse.Namespace) -> tuple[bytes, dict[str, Json], list[str]]:
    from hsnn.artifact import load
    from hsnn.frontends.netx.write import chain_names, net_bytes, net_layers, schedule_of

    program = load(args.artifact)
    stages = program.chip_stages
    if len(stages) != 1:
        raise UnsupportedError(
            "HSNN-F079",
            f"the artifact has {len(stages)} spiking segments",
            allowed="one, which becomes the file",
            fix="run the artifact with hsnn-compile run instead",
        )
    network = stages[0].network
    layers = chain_names(net_layers(network))
    left = [f"{item.node} ({item.op})" for item in program.placements if item.place.startswith("host")]
    schedule = schedule_of(network)
    facts: dict[str, Json] = {"layers": list(layers), "schedule": schedule, "host_operators_left_out": list(left)}
    said = [", ".join(layers), f"hsnn reads it as this segment with --schedule {schedule}", _left_out(left)]
    return net_bytes(network), facts, said


def _nir(args: argparse.Namespace) -> tuple[bytes, dict[str, Json], list[str]]:
    from hsnn.frontends.nir.write import to_nir

    hybrid, pins = _float_model(args)
    export = to_nir(hybrid, policy=args.nir_policy, pins=pins)
    nodes = {name: type(node).__name__ for name, node in export.graph.nodes.items()}
    facts: dict[str, Json] = {
        "nodes": dict(nodes),
        "nir_policy": export.policy.text(),
        "host_operators_left_out": list(export.left_out),
    }
    listed = ", ".join(f"{name} ({kind})" for name, kind in nodes.items())
    return export.to_bytes(), facts, [listed, f"to be read with {export.policy.text()}", _left_out(export.left_out)]


def _onnx(args: argparse.Namespace) -> tuple[bytes, dict[str, Json], list[str]]:
    import onnx

    from hsnn.frontends.write_onnx import onnx_bytes

    data = onnx_bytes(_float_model(args)[0], inline=args.inline)
    graph = onnx.load_from_string(data).graph
    ends = {
        "inputs": {info.name: info.doc_string for info in graph.input},
        "outputs": {info.name: info.doc_string for info in graph.output},
    }
    said = [f"{what[:-1]} {name} {text}" for what, values in ends.items() for name, text in values.items()]
    return data, {what: dict(values) for what, values in ends.items()}, [f"{len(graph.node)} operators", *said]


def _float_model(args: argparse.Namespace) -> tuple[HybridModel, Pins]:
    """The float model of an artifact, and what was pinned when it was compiled; or a hybrid ONNX file, or a module.

    Raises:
        UsageError: ``HSNN-U151``, if the artifact was written without its float model; ``HSNN-U139`` for a torch module
            without an example; and what reading raises.
    """
    from hsnn.commands.files import require_file
    from hsnn.commands.models import is_onnx, traced

    path: str = args.artifact
    if _is_factory(path):
        return traced(args, path), ()
    if is_onnx(path):
        from hsnn.frontends.onnx import from_onnx

        require_file(path, "model")
        return from_onnx(path), ()
    import onnx

    from hsnn.artifact import load
    from hsnn.ir.hybrid import wrap

    program = load(path)
    if program.hybrid is None:
        raise UsageError(
            "HSNN-U151", f"{path!r} holds integers only", fix="build it again without --no-reference, and export that"
        )
    return wrap(onnx.load_from_string(program.hybrid)), _pins(program)


def _pins(program: Program) -> Pins:
    from hsnn.commands.values import pin

    found = program.metadata.options.get("pins")
    return tuple(pin(str(text)) for text in found) if isinstance(found, list | tuple) else ()  # type: ignore[misc]  # pin reads "host" or "chip" only


def _left_out(operators: list[str] | tuple[str, ...]) -> str:
    return f"left out, since the host runs them: {', '.join(operators) or 'nothing'}"
