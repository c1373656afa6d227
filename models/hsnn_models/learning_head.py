"""A classifier that learns on the chip, from features to labels, as a program that has learned nothing yet.

::

    features -> deterministic rate code -> plastic synapses, learners in columns -> votes
                host                       chip                                     host

It is a reduced CoLaNET for learning engines: one lesson a sample, prototypes written into recruits. Synapses of the
winner and the recruit learn ``dw = y (x0 - 1/2)``, where ``x0`` is 1 where a feature has spiked: a lesson raises the
weights of active features as much as it lowers those of silent ones, which stands for CoLaNET's renormalisation of
resources. Sources: arXiv 2409.01230, arXiv 2606.20151; parameters chosen on the training digits of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.learning_text import parse_rule
from hsnn.ir.plan import HostStage, ModelValue
from hsnn.ir.plastic import LearnerPopulation, untaught
from hsnn.ir.populations import InputPort
from hsnn.program import ChipInput, ChipOutput, ChipStage, Metadata, Program

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

Constants: TypeAlias = "dict[str, NDArray[Any]]"
Shapes: TypeAlias = "dict[str, tuple[int | None, ...]]"
Nodes: TypeAlias = "list[tuple[str, list[str], list[str], dict[str, Any]]]"

UNIT: Final = 64
"""One unit of a weight in units of voltage."""
RULE: Final = "x0*y1 - 2^-1*u0*y1 - x0*y2 + 2^-1*u0*y2"


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """Parameters of the head.

    Attributes:
        column: Neurons of a column: prototypes of a class.
        timesteps: Timesteps per sample, 1 to 62; a feature of 1 spikes in each.
        scale: Feature value that counts as 1; larger ones are clipped.
        threshold: Of all neurons, in units of weights.
        reward, penalty: What a fresh neuron learns from a right and a wrong answer, in units of weights; a right answer
            does both, so that equal ones leave it what it is.
        stability_up, stability_down: How a neuron settles with right answers and loosens with wrong ones; 16 halve.
        recruit_margin: By how much a neuron that has learned must be better than a fresh one to be recruited again, in
            units of weights.
        seed: Of random rounding of traces; the rule here has none, so it changes nothing.
    """

    column: int = 3
    timesteps: int = 4
    scale: float = 1.0
    threshold: int = 2000
    reward: int = 32
    penalty: int = 32
    stability_up: int = 8
    stability_down: int = 8
    recruit_margin: int = 2000
    seed: int = 1


def learning_head(features: int, classes: int, options: HeadOptions | None = None) -> Program:
    """Build the untaught head.

    Args:
        features: Number of features of a sample, non-negative numbers.
        classes: Number of classes, those to come included: a class that was never taught is never answered.
        options: Parameters.

    Returns:
        A program from ``features`` of shape ``(batch, features)``, float32, to ``votes`` of shape ``(batch, classes)``.
    """
    options = HeadOptions() if options is None else options
    network = head_network(features, classes, options)
    encoder = _encoder(features, options)
    steps = options.timesteps
    votes = _model(
        [("Cast", ["spikes"], ["counts"], {"to": 1}), ("ReduceSum", ["counts", "axes"], ["votes"], {"keepdims": 0})],
        {"axes": np.array([0, 3], np.int64)},
        {"spikes": (steps, None, classes, options.column)},
        {"votes": (None, classes)},
    )
    chip = ChipStage(
        "chip.0",
        network,
        (ChipInput("train", "features", 1.0), ChipInput("no_label", "label", 1.0)),
        (ChipOutput("spikes", "learners", 1.0),),
    )
    return Program(
        (
            HostStage("host.0", encoder.SerializeToString(), ("features",), ("train", "no_label")),
            chip,
            HostStage("host.1", votes.SerializeToString(), ("spikes",), ("votes",)),
        ),
        (ModelValue("features", (None, features), "float32"),),
        (ModelValue("votes", (None, classes), "float32"),),
        Metadata(version("hsnn"), "emulator", source="hsnn_models.learning_head"),
    )


def head_network(features: int, classes: int, options: HeadOptions) -> IntegerNetwork:
    """The spiking part: weights of 0, nobody recruited."""
    shape = (classes, options.column)
    population = LearnerPopulation(
        "learners",
        shape,
        _scalar(4095),
        _scalar(0),
        _scalar(options.threshold * UNIT),
        _scalar(0),
        reset="none",
        label="label",
        reward=options.reward,
        penalty=options.penalty,
        stability_up=options.stability_up,
        stability_down=options.stability_down,
        recruit_margin=options.recruit_margin * UNIT,
        stability=np.zeros(shape, np.int32),
        recruited=np.zeros(shape, np.int32),
    )
    # An epoch a sample: its timesteps and the one that synapses take.
    rule = parse_rule(dw=RULE, epoch=options.timesteps + 1, seed=options.seed)
    weights = np.zeros((classes * options.column, features), np.int16)
    return IntegerNetwork(
        "chip.0",
        options.timesteps,
        (InputPort("features", (features,)), InputPort("label", (1,), classes)),
        (population,),
        (untaught("prototypes", "features", "learners", weights, rule),),
        ("learners",),
    )


def _scalar(value: int) -> NDArray[np.int32]:
    return np.asarray(value, np.int32)


def _encoder(features: int, options: HeadOptions) -> ModelProto:
    """``floor((t + 1) a) - floor(t a)``: the spikes of an integrator that gets ``a`` of 0 to 1 at every timestep."""
    steps = np.arange(options.timesteps + 1, dtype=np.float32).reshape(-1, 1, 1)
    constants: Constants = {
        "scale": np.asarray(options.scale, np.float32),
        "zero": np.asarray(0, np.float32),
        "one": np.asarray(1, np.float32),
        "from": steps[:-1],
        "to": steps[1:],
        "first_axis": np.array([0], np.int64),
        "cut_start": np.array([0], np.int64),
        "cut_stop": np.array([1], np.int64),
        "cut_axis": np.array([2], np.int64),
    }
    nodes: Nodes = [
        ("Div", ["features", "scale"], ["scaled"], {}),
        ("Clip", ["scaled", "zero", "one"], ["clipped"], {}),
        ("Unsqueeze", ["clipped", "first_axis"], ["a"], {}),
        ("Mul", ["a", "from"], ["before"], {}),
        ("Mul", ["a", "to"], ["after"], {}),
        ("Floor", ["before"], ["spikes_before"], {}),
        ("Floor", ["after"], ["spikes_after"], {}),
        ("Sub", ["spikes_after", "spikes_before"], ["train"], {}),
        ("Slice", ["train", "cut_start", "cut_stop", "cut_axis"], ["one_column"], {}),
        ("Mul", ["one_column", "zero"], ["no_label"], {}),
    ]
    shapes: Shapes = {"train": (options.timesteps, None, features), "no_label": (options.timesteps, None, 1)}
    return _model(nodes, constants, {"features": (None, features)}, shapes)


def _model(nodes: Nodes, constants: Constants, inputs: Shapes, outputs: Shapes) -> ModelProto:
    """A small ONNX model of float32 values."""
    from onnx import TensorProto, checker, helper, numpy_helper

    made: list[NodeProto] = [helper.make_node(op, took, gave, **options) for op, took, gave, options in nodes]
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        for shapes in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(made, "head", values[0], values[1], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    return model
