"""The report as one HTML page: nothing is loaded from elsewhere, and no script runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING

from hsnn.libraries import named_if_missing
from hsnn.report import view, view_capacity, view_layers
from hsnn.report.cells import capped, clip, decimal, shorten, visible
from hsnn.report.graph_layout import draw
from hsnn.report.graph_view import model_graph
from hsnn.report.raster import pictures
from hsnn.report.spike_curve import curve_of, curve_svg, curve_table
from hsnn.report.summary import commands, origin, tiles
from hsnn.report.view_frozen import frozen_scales
from hsnn.report.weights import weights

if TYPE_CHECKING:
    from hsnn.program import Program
    from hsnn.verify.ladder import VerifyReport

MOST_ROWS = 400
"""Rows of a table; longer ones are cut, so that the page stays small."""


@dataclass(frozen=True, slots=True)
class RateBar:
    """Spike rates of a layer, and the lengths of their bars, 0 to 100."""

    name: str
    float_text: str
    integer_text: str
    float_bar: float
    integer_bar: float


@named_if_missing()
def render(program: Program, *, verify: VerifyReport | None = None) -> str:
    """Render the report of a program.

    The same program gives the same page: there is no time and no machine in it. Names from the model
    are escaped.

    Args:
        program: A program.
        verify: What the verify ladder found, if it has been climbed.

    Returns:
        HTML of less than 2 MB.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shorten=shorten, clip=clip)
    drawn, more = pictures(program)
    graph = model_graph(program)
    curve = curve_of(program)
    return environment.get_template("page.html.j2").render(
        title=visible(program.metadata.source) or "compiled model",
        target=visible(program.metadata.target),
        version=visible(program.metadata.hsnn),
        tiles=tiles(program, verify),
        graph=graph,
        drawing=draw(graph),
        partition=capped(view.partition(program.placements), MOST_ROWS),
        operators=capped(view.explained_partition(program.placements), MOST_ROWS),
        frozen=frozen_scales(program),
        curve=None if curve is None else curve_table(curve),
        # All of it is numbers and words of our own, so nothing in it needs to be escaped.
        curve_drawing=None if curve is None else Markup(curve_svg(curve, alone=False)),
        cuts=capped(view.cuts(program.cuts, program.cut_spikes), MOST_ROWS),
        layers=capped(view_layers.layers(program), MOST_ROWS),
        rates=rate_bars(program),
        pictures=[(stage, tuple(group)) for stage, group in groupby(drawn, key=lambda item: item.stage)],
        more_pictures=more,
        weights=weights(program, most=MOST_ROWS),
        capacity=[capped(table, MOST_ROWS) for table in view_capacity.capacity(program.mapping)],
        neurocores=capped(view_capacity.neurocores(program.mapping), MOST_ROWS),
        verification=None if verify is None else view.verification(verify),
        origin=capped(origin(program), MOST_ROWS),
        commands=commands(program),
    )


def rate_bars(program: Program) -> tuple[RateBar, ...]:
    """Spike rates of the first layers in float and in integers."""
    layers = [item for item in view_layers.layer_records(program) if item.integer_rate is not None][:MOST_ROWS]
    peak = max((max(item.float_rate or 0.0, item.integer_rate or 0.0) for item in layers), default=0.0) or 1.0
    return tuple(
        RateBar(
            item.name,
            decimal(item.float_rate),
            decimal(item.integer_rate),
            round(100 * (item.float_rate or 0.0) / peak, 1),
            round(100 * (item.integer_rate or 0.0) / peak, 1),
        )
        for item in layers
    )


def _template(name: str) -> str:
    return resources.files("hsnn.report").joinpath(name).read_text(encoding="utf-8")
