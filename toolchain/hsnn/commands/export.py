"""``hsnn-compile export``: the integers of an artifact in the format of another program."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hsnn.errors import UnsupportedError

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.program import Json

USAGE = "export ARTIFACT --to netx -o FILE"
HELP = "write the spiking part of an artifact for another program"
DESCRIPTION = """\
Write the integers of an artifact's spiking segment in the format of another program. What that format does
not know, or what that program would compute otherwise, is an error that names it. Parts that run on the
host are not written.
"""
EPILOG = """\
examples:
  hsnn-compile export network.hsnn --to netx -o network.net
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("artifact")
    group.add_argument("artifact", metavar="ARTIFACT", help="a folder or .zip that hsnn-compile wrote")
    output = parser.add_argument_group("output")
    output.add_argument("--to", choices=("netx",), required=True, help="format: netx is lava-dl's .net")
    output.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write")
    output.add_argument("--force", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace, console: Console) -> int:
    """Load, write and tell what was written."""
    from hsnn.artifact import load
    from hsnn.commands.files import check_free, write_whole
    from hsnn.frontends.netx.write import chain_names, net_bytes, net_layers

    path = Path(args.output)
    check_free(path, force=args.force)
    program = load(args.artifact)
    stages = program.chip_stages
    if len(stages) != 1:
        raise UnsupportedError(
            "HSNN-F079", f"the artifact has {len(stages)} spiking segments", allowed="one, which becomes the file"
        )
    network = stages[0].network
    layers = chain_names(net_layers(network))
    data = net_bytes(network)
    write_whole(path, lambda file: file.write(data))
    left = [f"{item.node} ({item.op})" for item in program.placements if item.place.startswith("host")]
    result: dict[str, Json] = {
        "verb": "export",
        "artifact": args.artifact,
        "format": args.to,
        "output": str(path),
        "layers": layers,
        "host_operators_left_out": left,
    }
    said = [f"wrote {path}: {', '.join(layers)}", f"left out, since the host runs them: {', '.join(left) or 'nothing'}"]
    console.result(result, lambda: said)
    return 0
