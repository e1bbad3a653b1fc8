"""Forest plots: figures with their intervals, one a row, beside a line of reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radspark.report.svg import ACCENT, INK, MUTED, RULE, render_svg

_ROW_HEIGHT = 19
_WIDTH = 420
_SMALLEST_MARGIN = 0.005
"""Differences that are all but none shall look so."""


@dataclass(frozen=True)
class ForestRow:
    """One figure; or, without a value, a heading of those below it."""

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    is_main: bool = False
    """Drawn with a filled diamond, such as a mean."""
    is_faint: bool = False
    """Drawn open and gray: it rests on few patients."""


def draw_forest(
    rows: Sequence[ForestRow], *, name: str, description: str, reference: float | None, signed: bool = False
) -> Markup:
    """One row under another, with the figures in words at the right.

    Args:
        name: unique in the page.
        reference: where the dotted line stands, such as no difference.
        signed: differences, with a sign and the axis around 0.
    """
    drawn = [row for row in rows if row.value is not None]
    ends = [end for row in drawn for end in (row.low, row.value, row.high) if end is not None]
    ends += [] if reference is None else [reference]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = max((high - low) * 0.05, _SMALLEST_MARGIN)

    def draw(figure: Figure) -> None:
        height = len(rows) * _ROW_HEIGHT + 26
        axes = figure.add_axes((0.28, 22 / height, 0.33, 1 - 26 / height))
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for place, row in enumerate(rows):
            _draw_row(axes, place, row, signed=signed)
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(low - margin, high + margin), yticks=())
        axes.locator_params(axis="x", nbins=3)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.patch.set_visible(False)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set(color=MUTED, linewidth=0.7)
        axes.tick_params(color=MUTED, labelcolor=MUTED, labelsize=11, width=0.7, length=3)

    height = len(rows) * _ROW_HEIGHT + 26
    return render_svg(draw, width=_WIDTH, height=height, name=name, description=description)


def _draw_row(axes: Axes, place: int, row: ForestRow, *, signed: bool) -> None:
    across = axes.get_yaxis_transform()
    weight = "bold" if row.is_main or row.value is None else "normal"
    color = MUTED if row.is_faint else INK
    label = row.label.replace("_", " ")
    axes.text(-0.03, place, label, transform=across, ha="right", va="center", fontsize=12, color=color, weight=weight)
    if row.value is None:
        return
    line = MUTED if row.is_faint else ACCENT
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [place, place], color=line, linewidth=1.2, solid_capstyle="butt")
    axes.plot(
        [row.value],
        [place],
        marker="D" if row.is_main else "o",
        markersize=5.5 if row.is_main else 4.5,
        color=line,
        markerfacecolor="none" if row.is_faint else line,
    )
    axes.text(1.03, place, _words(row, signed=signed), transform=across, va="center", fontsize=11.5, color=color)


def _words(row: ForestRow, *, signed: bool) -> str:
    form = "{:+.3f}" if signed else "{:.3f}"
    value = form.format(row.value)
    if row.low is None or row.high is None:
        return value
    return f"{value} [{form.format(row.low)}, {form.format(row.high)}]".replace("-", "\N{MINUS SIGN}")
