"""What an evaluation's page says beside the table: thresholds, subgroups, mistakes, card; and what it never says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radspark.cli.mistakes import choose_mistakes
from radspark.cli.results import EvaluationChoices, judge, report_figures
from radspark.cli.scored_table import ScoredTable
from radspark.labels import LabelSet
from radspark.metrics import Bootstrap
from radspark.metrics.comparison import compare_scored
from radspark.metrics.intervals import Interval
from radspark.metrics.scored import Scored
from radspark.metrics.subgroups import Gap
from radspark.report import DataSummary, EvaluationReport, Mistake, SplitSize, write_evaluation_report
from radspark.report.comparison import ComparisonReport, write_comparison_report


@pytest.fixture(scope="module")
def table() -> ScoredTable:
    """400 images of 200 patients, 10 of them of 80 years or more; no Hernia among them."""
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 3)) < (0.3, 0.2, 0.0)).astype(float)
    sexes = ["FM"[row // 2 % 2] for row in range(400)]
    return ScoredTable(
        labels=LabelSet(("Effusion", "Mass", "Hernia")),
        image_ids=[f"image-{row:03d}" for row in range(400)],
        patients=[f"patient-{row // 2:03d}" for row in range(400)],
        labels_NC=labels,
        probabilities_NC=np.clip(0.4 * labels + 0.6 * generator.random(labels.shape), 0, 1),
        attributes={"sex": sexes, "age": [float(min(row % 90, 79 if row > 90 else 90)) for row in range(400)]},
    )


@pytest.fixture(scope="module")
def figures(table: ScoredTable) -> dict[str, Any]:
    judged = judge(table, EvaluationChoices(Bootstrap(resamples=100)), thresholds={"Mass": 0.45})
    return {"evaluation": judged.evaluation, **report_figures(judged)}


def page_of(figures: dict[str, Any], folder: Path, **more: Any) -> str:
    data = DataSummary(
        name="Made up",
        splits=(SplitSize("test", 400, 3, 200),),
        positives={"Effusion": 120, "Mass": 80, "Hernia": 0},
        flow=(("Rows of the label table", 500), ("Refused as unreadable", 3)),
    )
    write_evaluation_report(folder / "r.html", EvaluationReport(title="A test", data=data, **figures, **more))
    return (folder / "r.html").read_text()


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page[page.index("<main>") :]).split())


def test_intervals_stand_under_their_figures(figures: dict[str, Any], tmp_path: Path) -> None:
    text = words(page_of(figures, tmp_path))
    mass = figures["evaluation"].findings["Mass"]
    interval = mass.intervals["auroc"]
    assert f"Mass {mass.auroc:.3f} {interval.low:.3f}–{interval.high:.3f}" in text
    assert "BCa bootstrap over patients, 100 resamples, seed 0" in text


def test_both_means_stand_below_the_findings(figures: dict[str, Any], tmp_path: Path) -> None:
    evaluation = figures["evaluation"]
    mean, weighted = evaluation.means["auroc"], evaluation.weighted_means["auroc"]
    text = words(page_of(figures, tmp_path))
    assert re.search(rf"Mean {mean:.3f} .*Weighted by positives {weighted:.3f} \d\.\d+–\d\.\d+", text)


def test_every_defined_finding_has_its_curves_and_the_others_their_reason(
    figures: dict[str, Any], tmp_path: Path
) -> None:
    page = page_of(figures, tmp_path)
    described = re.findall(r'aria-label="([^",]*)', page)
    for finding in ("Effusion", "Mass"):
        for drawing in ("ROC curve", "Precision-recall curve", "Reliability diagram"):
            assert f"{drawing} of {finding}" in described
    assert "Precision-recall curve of Hernia" not in described
    assert page.count("undefined:<br>no positive") == 2


@pytest.mark.parametrize(
    ("point", "said"), [("youden", "by Youden’s index"), (None, "these are at 0.5, which suits no rare finding")]
)
def test_thresholds_say_where_they_come_from(
    figures: dict[str, Any], tmp_path: Path, point: str | None, said: str
) -> None:
    text = words(page_of(figures, tmp_path, operating_point=point))
    assert said in text
    assert f"Mass 0.4500 {figures['evaluation'].findings['Mass'].values['sensitivity']:.3f}" in text


def test_subgroups_are_drawn_and_small_ones_said_to_be_small(figures: dict[str, Any], tmp_path: Path) -> None:
    page = page_of(figures, tmp_path)
    assert re.search(r'aria-label="Gaps of mean AUROC: [^"]*F [+-]0\.\d+', page)
    text = words(page)
    women = next(part for part in figures["subgroups"] if part.value == "F")
    gap = women.gaps["mean"]
    interval = f"{gap.inside_interval.low:.3f}–{gap.inside_interval.high:.3f}"
    assert f"Sex: F 200 100 {len(women.gaps) - 1} of 3 {gap.inside:.3f} {interval} {gap.outside:.3f}" in text
    assert "Age: 80 or older 10 5 0 of 3 too few patients" in text
    num_gaps = sum(len(part.gaps) for part in figures["subgroups"] if part.value != "M")
    assert f"{num_gaps} gaps were tested" in text


def test_a_gap_that_two_parts_share_is_told_once(figures: dict[str, Any], tmp_path: Path) -> None:
    gap = Gap(0.9, 0.8, Interval(0.85, 0.95), Interval(0.05, 0.15), 0.001, adjusted_p_value=0.01)
    women, men = (
        dataclasses.replace(part, gaps={"Mass": gap}) for part in figures["subgroups"] if part.column == "sex"
    )
    text = words(page_of({**figures, "subgroups": [women, men]}, tmp_path))
    assert men.is_mirror
    assert "Findings with a gap, adjusted p below 0.05: 1 Part" in text


def test_mistakes_card_and_flow_are_told(figures: dict[str, Any], tmp_path: Path) -> None:
    mistake = Mistake(np.zeros((8, 8), np.uint8), "Mass", is_present=True, probability=0.031, placement=0.973)
    text = words(page_of(figures, tmp_path, mistakes=[mistake], card={"network": "densenet121"}))
    assert "Mass, missed 0.031: 97% of radiographs without it score higher" in text
    assert "Model card Model network densenet121 Intended use" in text
    assert "Rows of the label table 500 Refused as unreadable 3" in text


def test_no_identifier_is_on_the_page(figures: dict[str, Any], tmp_path: Path) -> None:
    page = page_of(figures, tmp_path)
    assert "image-" not in page.replace("image-rendering", "") and "patient-" not in page


def test_the_worst_mistakes_are_those_of_the_extreme_ranks(table: ScoredTable) -> None:
    chosen = choose_mistakes(table)
    assert [(choice.finding, choice.is_present) for choice in chosen].count(("Mass", True)) == 1
    assert not any(choice.finding == "Hernia" for choice in chosen)
    missed = next(choice for choice in chosen if choice.finding == "Mass" and choice.is_present)
    labels, scores = table.labels_NC[:, 1], table.probabilities_NC[:, 1]
    assert missed.probability == scores[labels == 1].min() == scores[missed.row]
    assert missed.placement == np.mean(scores[labels == 0] > missed.probability)


def test_a_comparison_names_both_runs_and_draws_every_difference(table: ScoredTable, tmp_path: Path) -> None:
    first = Scored.of(table.labels_NC, table.probabilities_NC, table.labels, patients=table.patients)
    second = Scored.of(table.labels_NC, table.probabilities_NC**2, table.labels, patients=table.patients)
    comparison = compare_scored(first, second, bootstrap=Bootstrap(resamples=100))
    report = ComparisonReport(title="b against a", first="run-a", second="run-b", comparison=comparison)
    write_comparison_report(tmp_path / "c.html", report)
    page = (tmp_path / "c.html").read_text()
    assert "run-b less run-a , on the same 400 radiographs of 200 patients" in words(page)
    assert 'aria-label="Differences of AUROC: Mean +0.000, Effusion +0.000, Mass +0.000"' in page
    assert "patient-" not in page
