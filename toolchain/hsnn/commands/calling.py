"""How a torch model is called: where its time axis is, which loop is missing, which outputs count."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hsnn.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_INPUTS, _OUTPUTS = ("repeat", "train"), ("mean", "sum", "last", "train")


@dataclass(frozen=True, slots=True)
class Time:
    """How a torch model sees time.

    Attributes:
        kind: ``first``, if it takes the time axis first; ``steps``, if it computes one timestep; ``merged``, if batch
            and time are one axis.
        timesteps: Timesteps of a sample; 0 for ``first``.
        options: Further arguments of :class:`hsnn.nn.OverTime`, for ``steps``.
    """

    kind: str
    timesteps: int = 0
    options: dict[str, str] = field(default_factory=dict)


def add_calling(group: argparse._ArgumentGroup) -> None:
    """Declare how a torch model is called."""
    group.add_argument(
        "--time",
        type=time,
        metavar="HOW",
        help="how a torch model sees time, where its forward does not say it: first, if it takes (timestep, batch, "
        "...); steps=16, if it computes one timestep, with inputs=repeat|train and outputs=mean|sum|last|train behind "
        "commas; merged=16, if it takes (batch * timestep, ...), as sinabs's squeezed layers do",
    )
    group.add_argument(
        "--outputs",
        type=outputs,
        metavar="N,...",
        help="outputs of a torch model to keep, from 0 or by name: --outputs 0 where it returns spikes and voltages, "
        "--outputs spikes where they are entries of a dictionary",
    )


def time(text: str) -> Time:
    """Read ``first``, ``merged=16``, or ``steps=16,inputs=train,outputs=sum``.

    >>> time("steps=16,outputs=sum")
    Time(kind='steps', timesteps=16, options={'outputs': 'sum'})
    """
    if text == "first":
        return Time("first")
    (kind, count), *pairs = (part.partition("=")[::2] for part in text.split(","))
    given = dict(pairs)
    allowed = {"inputs": _INPUTS, "outputs": _OUTPUTS} if kind == "steps" else {}
    wrong = [key for key, value in given.items() if value not in allowed.get(key, ())]
    from hsnn.ops.spec import MOST_TIMESTEPS  # operators import numpy, which help does without

    number = count.isascii() and count.isdecimal() and 1 <= int(count) <= MOST_TIMESTEPS
    if kind not in ("steps", "merged") or not number or wrong or len(pairs) != len(given):
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of first, merged=N, and steps=N with inputs={'|'.join(_INPUTS)} and "
            f"outputs={'|'.join(_OUTPUTS)}"
        )
    return Time(kind, int(count), given)


def outputs(text: str) -> tuple[int | str, ...]:
    """Read whole numbers and names with commas between.

    >>> outputs("0,logits")
    (0, 'logits')
    """
    parts = text.split(",")
    if any(not part.strip() or part.startswith("-") for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers from 0 and names, such as 0 or spikes,logits")
    return tuple(int(part) if part.isascii() and part.isdecimal() else part for part in parts)


def called(module: nn.Module, args: argparse.Namespace) -> nn.Module:
    """Wrap a module so that it is called as hsnn calls models, where the arguments say how it is called itself."""
    from hsnn.nn import KeepOutputs, MergedTime, OverTime, TimeFirst

    if args.time is not None:
        found: Time = args.time
        if found.kind == "first":
            module = TimeFirst(module)
        elif found.kind == "merged":
            module = MergedTime(module, timesteps=found.timesteps)
        else:
            module = OverTime(module, timesteps=found.timesteps, **found.options)
    return module if args.outputs is None else KeepOutputs(module, args.outputs)


def refuse_calling(args: argparse.Namespace) -> None:
    """Refuse the options of torch modules beside another model.

    Raises:
        UsageError: HSNN-U153 if one is given.
    """
    given = getattr(args, "model", None) or args.artifact
    for name in ("time", "outputs"):
        if getattr(args, name) is not None:
            raise UsageError(
                "HSNN-U153", f"--{name} is given with {given!r}", allowed="a torch model", fix="leave it out"
            )
