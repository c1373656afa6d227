"""A learned head as an hsnn network: frozen, with its noise replaced by the mean, for emulator, Lava and Loihi 2.

::

    features -> (x - offset) / scale -> rate code | Linear -> Lif | -> earliest spikes -> votes of copies
                host                              | chip          |    host

Thresholds stay with their neurons, as Loihi's integers allow, so weights of all neurons share the range of int8.
Lateral inhibition is not needed on the chip: a neuron spikes once at most, and the host sees who was first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hsnn
from hsnn.compiler import Options
from hsnn.errors import UsageError
from hsnn.libraries import named_if_missing
from hsnn.nn import Lif, RateEncode, WeightedSumDecode
from hsnn_models.colanet.files import write_whole
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.scaling import Scaling

with named_if_missing():
    import safetensors
    import torch
    from safetensors import numpy as tensors
    from torch import Tensor, nn

_LEVELS = 127
_FORMAT = "hsnn frozen colanet 1"


class FrozenHead(nn.Module):
    """What a CoLaNET head has learned, without its learning; takes features ``(batch, feature)``, returns votes.

    Votes have the shape ``(batch, class)``, their sum at most the number of copies. Weights are rounded to 255 levels.

    Args:
        features: Number of features.
        classes: Label of each column.
        parameters: Those of the head.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: tuple[int, ...], parameters: Parameters) -> None:
        super().__init__()
        self.classes = classes
        self.parameters_of_head = parameters
        steps, neurons = parameters.timesteps, parameters.copies * len(classes) * parameters.microcolumns
        self.register_buffer("offset", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.encode = RateEncode(steps, initial=parameters.initial, silent=parameters.wait)
        self.synapses = nn.Linear(features, neurons, bias=False)
        self.neurons = Lif(
            torch.ones(neurons),
            current_decay=1.0,
            voltage_decay=parameters.leak,
            bias=parameters.noise / 2,
            comparison=">=",
            refractory=steps,
        )
        # The earlier a spike, the more it counts; a neuron has one at most.
        self.first = WeightedSumDecode([float(steps - t) for t in range(steps)])
        self.requires_grad_(False)

    @classmethod
    def of(cls, head: ColanetHead) -> FrozenHead:
        """Freeze a head; it can go on learning.

        Raises:
            UsageError: ``HSNN-U226``, if it has a class of which it has seen nothing.
        """
        head.require_samples()
        frozen = cls(head.features, head.classes, head.parameters)
        levels, step = _rounded(head)
        frozen._set(levels, step, head.state.thresholds.reshape(-1), head.scaling)
        return frozen.eval()

    def forward(self, features: Tensor) -> Tensor:
        """Return the votes for each class, shape ``(batch, class)``, of features ``(batch, feature)``."""
        spikes = self.neurons(self.synapses(self.encode((features - self.offset) / self.scale)))
        parameters = self.parameters_of_head
        early = self.first(spikes).reshape(-1, parameters.copies, len(self.classes), parameters.microcolumns)
        best = early.amax((2, 3), keepdim=True)
        won = ((early == best) & (early > 0)).to(early.dtype).sum(3)
        votes: Tensor = (won / won.sum(2, keepdim=True).clamp(min=1.0)).sum(1)
        return votes

    def save(self, path: Path | str) -> None:
        """Write the head, a byte a synapse, whole or not at all."""
        weights = self.synapses.weight.numpy()
        step = np.float32(np.abs(weights).max() / _LEVELS)
        about = {"format": _FORMAT, "classes": self.classes, "parameters": self.parameters_of_head.to_json()}
        arrays: dict[str, npt.NDArray[Any]] = {
            "levels": np.rint(weights / step).astype(np.int8),
            "step": np.asarray([step], np.float32),
            "thresholds": self.neurons.threshold.numpy(),
            "offset": self.offset.numpy(),
            "scale": self.scale.numpy(),
        }
        write_whole(Path(path), tensors.save(arrays, metadata={"colanet": json.dumps(about)}))

    @classmethod
    def load(cls, path: Path | str) -> FrozenHead:
        """Read what `save` wrote.

        Raises:
            UsageError: ``HSNN-U225``, if it is missing, damaged or something else.
        """
        try:
            with safetensors.safe_open(str(path), framework="numpy") as file:
                about = json.loads((file.metadata() or {})["colanet"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
            if about["format"] != _FORMAT:
                raise ValueError(f"its format is {about['format']!r}")
            scaling = Scaling(arrays["offset"], arrays["scale"])
            frozen = cls(len(scaling.scale), tuple(about["classes"]), Parameters.from_json(about["parameters"]))
            frozen._set(arrays["levels"], arrays["step"][0], arrays["thresholds"], scaling)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError("HSNN-U225", f"{path} is no frozen CoLaNET head: {error}", allowed=_FORMAT) from error
        return frozen.eval()

    def _set(
        self, levels: npt.NDArray[np.int8], step: np.float32, thresholds: npt.NDArray[np.float32], scaling: Scaling
    ) -> None:
        self.synapses.weight.copy_(torch.from_numpy(levels.astype(np.float32) * step))
        self.neurons.threshold.copy_(torch.from_numpy(thresholds.copy()))
        self.offset.copy_(torch.from_numpy(scaling.offset.copy()))
        self.scale.copy_(torch.from_numpy(scaling.scale.copy()))


class Hybrid(nn.Module):
    """An encoder and a frozen head as one model, from images to votes.

    Args:
        encoder: Gives features.
        head: Classifies them.
    """

    def __init__(self, encoder: nn.Module, head: FrozenHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the votes for each class, shape ``(batch, class)``, of images as the encoder takes them."""
        votes: Tensor = self.head(self.encoder(images))
        return votes


def deploy(
    head: ColanetHead,
    calibration: npt.NDArray[np.float32],
    *,
    encoder: nn.Module | None = None,
    options: Options | None = None,
) -> hsnn.Program:
    """Compile what a head has learned so far.

    Args:
        head: The head.
        calibration: Features that it may learn from; images, where there is an encoder.
        encoder: Comes before the head in the program, on the host; without one the program takes features.
        options: Of the compiler.

    Returns:
        A program whose output is the votes, in the order of ``head.classes``.

    Raises:
        HsnnError: ``HSNN-U226``, if a class has no sample, and what :func:`hsnn.compile` raises.
    """
    frozen = FrozenHead.of(head)
    model = frozen if encoder is None else Hybrid(encoder, frozen).eval()
    return hsnn.compile(model, calibration, options=options, source="hsnn_models.colanet.deploy:deploy")


def learn_and_deploy(
    head: ColanetHead,
    rounds: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[Any]]],
    calibration: npt.NDArray[np.float32],
    *,
    encoder: nn.Module | None = None,
    options: Options | None = None,
    checkpoint: Path | None = None,
) -> Iterator[hsnn.Program]:
    """Learn on the host, round by round, and give the program to run until the next.

    Args:
        head: The head; it learns.
        rounds: Features and labels of each round.
        calibration: As in `deploy`.
        encoder: As in `deploy`.
        options: As in `deploy`.
        checkpoint: File that the head is kept in after each round; None keeps none.

    Yields:
        The program after each round.

    Raises:
        HsnnError: As `ColanetHead.learn` and `deploy`. What was learned until then stays learned.
    """
    for features, labels in rounds:
        head.learn(features, labels)
        if checkpoint is not None:
            head.save(checkpoint)
        yield deploy(head, calibration, encoder=encoder, options=options)


def _rounded(head: ColanetHead) -> tuple[npt.NDArray[np.int8], np.float32]:
    """Return all weights as whole numbers of a step, shape ``(copy * neuron, feature)``, and the step."""
    weights = head.state.weights.transpose(0, 2, 1).reshape(-1, head.features)
    step = np.float32(np.abs(weights).max() / _LEVELS)
    return np.rint(weights / step).astype(np.int8), step
