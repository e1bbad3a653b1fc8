"""The drawings as SVG: well formed, in the page's colors, and telling what they should."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from radspark.metrics import RocCurve, rank
from radspark.metrics.reliability import reliability_diagram
from radspark.report.figures import (
    Series,
    draw_epochs,
    draw_label_counts,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
)
from radspark.report.forest import ForestRow, draw_forest

CURVE = RocCurve(np.array([0.0, 0.25, 1.0]), np.array([0.0, 0.75, 1.0]))


def words_of(svg: str) -> list[str]:
    return [
        "".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter() if text.tag.endswith("text")
    ]


def test_drawings_take_every_color_from_the_page() -> None:
    drawings = [
        draw_roc("Mass", CURVE, auroc=0.75),
        draw_label_counts({"Mass": 3}, no_finding=9),
        draw_epochs("Loss", [1, 2], [Series("a", (1.0, 0.5)), Series("b", (1.1, 0.7))], kept_epoch=2),
    ]
    for drawing in drawings:
        assert re.findall(r"#[0-9a-f]{6}\b", drawing) == []
        assert "var(--accent)" in drawing
        assert "<style" not in drawing


def test_roc_curve_is_drawn_through_its_points() -> None:
    paths = re.findall(r'd="(M [^"]*)"[^>]*stroke: var\(--accent\)', draw_roc("Mass", CURVE, auroc=0.75))
    points = np.array(re.findall(r"[-\d.]+", paths[0]), float).reshape(-1, 2)
    across, up = points[:, 0] - points[0, 0], points[0, 1] - points[:, 1]
    np.testing.assert_allclose(across / across[-1], CURVE.false_positive_rate, atol=1e-3)
    np.testing.assert_allclose(up / up[-1], CURVE.true_positive_rate, atol=1e-3)


def test_a_precision_recall_curve_of_one_positive_is_a_line() -> None:
    curve = rank([1, 0, 0], [0.5, 0.9, 0.1]).precision_recall_curve()
    drawing = draw_precision_recall("Hernia", curve, average_precision=0.5, share=1 / 3)
    path = re.findall(r'd="(M [^"]*)"[^>]*stroke: var\(--accent\)', drawing)[0]
    points = np.array(re.findall(r"[-\d.]+", path), float).reshape(-1, 2)
    assert points[-1, 0] - points[0, 0] > 100


def test_a_reliability_diagram_ends_with_its_figures_and_not_beyond_1() -> None:
    diagram = reliability_diagram(np.array([1.0, 0, 0, 0]), np.array([0.4, 0.1, 0.1, 0.1]))
    drawing = draw_reliability("Mass", diagram, calibration_error=0.1)
    assert words_of(drawing)[-1] == "1"
    assert ElementTree.fromstring(drawing).get("aria-label") == "Reliability diagram of Mass, calibration error 0.100"


@pytest.mark.parametrize(("highest", "ticks"), [(0.451, ["0", ".25", ".5"]), (0.0147, ["0", ".009", ".018"])])
def test_the_ticks_of_a_reliability_diagram_are_the_numbers_they_say(highest: float, ticks: list[str]) -> None:
    diagram = reliability_diagram(np.zeros(4), np.array([highest, 0, 0, 0]))
    words = words_of(draw_reliability("Mass", diagram, calibration_error=0.1))
    assert words == [*ticks, *ticks]


def test_a_drawing_says_to_a_screen_reader_what_it_shows() -> None:
    svg = ElementTree.fromstring(draw_roc('"Mass" & <more>', CURVE, auroc=0.75))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'ROC curve of "Mass" & <more>, AUROC 0.750'


def test_label_counts_stand_most_first_and_no_finding_last() -> None:
    words = words_of(draw_label_counts({"Hernia": 227, "Pleural_Thickening": 3385, "Mass": 5782}, no_finding=60361))
    assert words == ["Mass", "Pleural Thickening", "Hernia", "No finding", "5,782", "3,385", "227", "60,361"]


def test_a_name_is_never_taken_for_a_formula() -> None:
    assert words_of(draw_label_counts({"$x$": 1}, no_finding=None)) == ["$x$", "1"]


def test_lines_differ_in_dash_and_marker_not_only_in_color() -> None:
    svg = draw_epochs("Loss", [1, 2], [Series("a", (1.0, 0.5)), Series("b", (1.1, 0.7))], kept_epoch=2)
    dashes = re.findall(r"stroke-dasharray: ([^;]+);[^\"]*stroke: var\(--second\)", svg)
    assert dashes
    assert not re.search(r"stroke-dasharray[^\"]*stroke: var\(--accent\)", svg)


def test_undefined_epochs_leave_a_gap() -> None:
    whole = draw_epochs("A", [1, 2, 3], [Series("a", (0.5, 0.6, 0.7))], kept_epoch=1)
    gap = draw_epochs("A", [1, 2, 3], [Series("a", (0.5, math.nan, 0.7))], kept_epoch=1)
    assert whole.count("<use") == gap.count("<use") + 1


def test_a_forest_of_no_differences_has_plain_numbers_on_its_axis() -> None:
    drawing = draw_forest([ForestRow("Mass", 0.0)], name="f", description="f", reference=0.0, signed=True)
    assert words_of(drawing)[:3] == ["−0.005", "0.000", "0.005"]


def test_a_wide_range_of_rates_has_plain_numbers_on_a_log_scale() -> None:
    svg = draw_epochs("Rate", [1, 2, 3], [Series("a", (1e-7, 1e-5, 1e-3))], kept_epoch=1, log_scale=True)
    assert {"0.001", "1e-05", "1e-07"} <= set(words_of(svg))


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    draw_roc("Mass", rank([0, 1], [0.2, 0.8]).roc_curve(), auroc=1.0)
    assert dict(matplotlib.rcParams) == before
