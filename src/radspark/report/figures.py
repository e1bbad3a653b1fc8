"""The drawings of a report: ROC curves, label counts, training curves. Readable in black and white."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from radspark.metrics import PrecisionRecallCurve, RocCurve
from radspark.metrics.reliability import ReliabilityDiagram
from radspark.report.svg import ACCENT, INK, MUTED, RULE, SECOND, render_svg


@dataclass(frozen=True)
class Series:
    """One line of a chart: a value per epoch, NaN where undefined."""

    name: str
    values: tuple[float, ...]


_LINE_STYLES: tuple[dict[str, Any], ...] = (
    {"color": ACCENT, "linestyle": "-", "marker": "o", "markersize": 3.2},
    {"color": SECOND, "linestyle": (0, (4, 2)), "marker": "s", "markersize": 3.0},
)
"""Told apart by dash and marker; color only helps."""


_PLAIN_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 10, "labelcolor": INK, "handlelength": 2.4}


def draw_roc(name: str, curve: RocCurve, *, auroc: float) -> Markup:
    """One finding's ROC curve on the unit square, with the diagonal of chance."""

    def draw(figure: Figure) -> None:
        axes = _unit_square(figure)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (1, 1.6)))
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=ACCENT, linewidth=1.5, clip_on=False)

    return render_svg(
        draw, width=150, height=146, name=f"roc-{name}", description=f"ROC curve of {name}, AUROC {auroc:.3f}"
    )


def draw_precision_recall(name: str, curve: PrecisionRecallCurve, *, average_precision: float, share: float) -> Markup:
    """Precision (upwards) against recall, with the share of positives as the line of guessing."""

    def draw(figure: Figure) -> None:
        axes = _unit_square(figure)
        axes.plot([0, 1], [share, share], color=MUTED, linewidth=1.0, linestyle=(0, (1, 1.6)))
        recall, precision = np.append(0, curve.recall), np.append(curve.precision[:1], curve.precision)
        axes.step(recall, precision, where="pre", color=ACCENT, linewidth=1.5, clip_on=False)

    description = f"Precision-recall curve of {name}, average precision {average_precision:.3f}"
    return render_svg(draw, width=150, height=146, name=f"pr-{name}", description=description)


def draw_reliability(name: str, diagram: ReliabilityDiagram, *, calibration_error: float) -> Markup:
    """Share with the finding (upwards) against mean probability, from 0 to somewhat above both; bars are cut there."""
    top = min(_round_up(float(max(diagram.predicted.max(), diagram.observed.max(), 1e-3)) * 1.1), 1.0)
    ticks = (0.0, top / 2, top)

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.17, 0.11, 0.74, 0.86))
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1.0, linestyle=(0, (1, 1.6)))
        axes.vlines(diagram.predicted, diagram.low, diagram.high, color=ACCENT, linewidth=1.0)
        axes.plot(
            diagram.predicted, diagram.observed, color=ACCENT, linewidth=1.0, marker="o", markersize=3.2, clip_on=False
        )
        axes.set(xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks)
        words = [f"{tick:.2g}".replace("0.", ".") for tick in ticks]
        axes.set_xticklabels(words)
        axes.set_yticklabels(words)
        _quiet(axes)

    description = f"Reliability diagram of {name}, calibration error {calibration_error:.3f}"
    return render_svg(draw, width=150, height=146, name=f"reliability-{name}", description=description)


def draw_label_counts(positives: Mapping[str, int], *, no_finding: int | None) -> Markup:
    """Radiographs per finding as bars, most first, and below them those without a finding."""
    rows = sorted(positives.items(), key=lambda item: -item[1])
    if no_finding is not None:
        rows.append(("No finding", no_finding))
    names, counts = [name.replace("_", " ") for name, _ in rows], [count for _, count in rows]

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        bars = axes.barh(names, counts, height=0.62, color=ACCENT)
        if no_finding is not None:
            bars[-1].set(facecolor="none", edgecolor=ACCENT, linewidth=0.9)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=4, color=INK, fontsize=11)
        axes.set(xlim=(0, max(*counts, 1) * 1.16), ylim=(len(rows) - 0.4, -0.6), xticks=())
        _quiet(axes)
        axes.tick_params(axis="y", length=0, labelsize=11, labelcolor=INK)
        axes.spines[["bottom", "left"]].set_visible(False)

    spoken = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    height = 19 * len(rows) + 8
    return render_svg(draw, width=400, height=height, name="counts", description=f"Radiographs per finding: {spoken}")


def draw_epochs(
    title: str, epochs: Sequence[int], series: Sequence[Series], *, kept_epoch: int, log_scale: bool = False
) -> Markup:
    """Up to two lines over the epochs, with a mark at the epoch whose weights were kept."""

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        axes.axvline(kept_epoch, color=MUTED, linewidth=1.0, linestyle=(0, (1, 1.6)))
        for line, line_style in zip(series, _LINE_STYLES, strict=False):
            axes.plot(epochs, line.values, label=line.name, linewidth=1.3, **line_style)
        if log_scale:
            axes.set_yscale("log")
            axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        axes.set_xlim(min(epochs) - 0.4, max(epochs) + 0.4)
        axes.set_xlabel("Epoch", color=MUTED, fontsize=10)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        _quiet(axes)
        axes.spines["left"].set_visible(False)
        if len(series) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2, borderaxespad=0, **_PLAIN_LEGEND)

    last = "; ".join(f"{line.name} ends at {line.values[-1]:.4g}" for line in series if not math.isnan(line.values[-1]))
    name = f"epochs-{title}".replace(" ", "-").lower()
    return render_svg(draw, width=400, height=190, name=name, description=f"{title} over {len(epochs)} epochs: {last}")


def _round_up(value: float) -> float:
    """The next number of two digits, the last one even: 0.513 becomes 0.52, whose half needs no third digit."""
    step = 2 * 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def _unit_square(figure: Figure) -> Axes:
    axes = figure.add_axes((0.13, 0.11, 0.84, 0.86))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_xticklabels(("0", ".5", "1"))
    axes.set_yticklabels(("0", ".5", "1"))
    _quiet(axes)
    return axes


def _quiet(axes: Axes) -> None:
    """No frame, no ground, thin ticks."""
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set(color=MUTED, linewidth=0.7)
    axes.tick_params(color=MUTED, labelcolor=MUTED, labelsize=10, width=0.7, length=3)
