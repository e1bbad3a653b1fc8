"""What stands in the written pages, and what must not."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radspark.labels import LabelSet
from radspark.metrics import evaluate_scores, roc_curves
from radspark.report import (
    EvaluationReport,
    ExampleRadiograph,
    TrainingReport,
    write_evaluation_report,
    write_training_report,
)


class Page(HTMLParser):
    """The tags, the words and the table rows of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._words: list[str] = []
        self._hidden, self._in_cell = "", False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "style":
            self._hidden = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._words.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data.strip()

    def row(self, heading: str) -> list[str]:
        """Cells of the first row that begins so."""
        return next(row for row in self.rows if row and row[0] == heading)


@pytest.fixture(scope="module")
def training_page(training_report: TrainingReport, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("training") / "report.html"
    write_training_report(path, training_report)
    return Page(path)


@pytest.fixture(scope="module")
def evaluation_page(evaluation_report: EvaluationReport, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("evaluation") / "report.html"
    write_evaluation_report(path, evaluation_report)
    return Page(path)


def test_a_row_shows_the_finding_beside_the_published_columns(
    evaluation_report: EvaluationReport, evaluation_page: Page
) -> None:
    finding = evaluation_report.evaluation.findings["Pleural_Thickening"]
    assert evaluation_page.row("Pleural Thickening") == [
        "Pleural Thickening",
        f"{finding.auroc:.3f}",
        f"{finding.average_precision:.3f}",
        str(finding.positives),
        str(finding.negatives),
        "0.777",
        "0.806",
        "0.765",
        "0.708",
    ]


def test_an_undefined_finding_shows_its_reason_in_place_of_numbers(evaluation_page: Page) -> None:
    assert evaluation_page.row("Hernia")[:4] == ["Hernia", "no positive", "0", "300"]
    assert "AUROC and average precision are undefined" in evaluation_page.text


def test_published_columns_are_called_not_comparable(evaluation_page: Page) -> None:
    assert "Published AUROC: other splits, not comparable" in evaluation_page.text


def test_published_columns_stay_away_from_other_findings(evaluation_report: EvaluationReport, tmp_path: Path) -> None:
    labels, scores, label_set = [[1, 0], [0, 1]], [[0.9, 0.2], [0.3, 0.1]], LabelSet(("Mass", "Fracture"))
    evaluation = evaluate_scores(labels, scores, label_set)
    other = replace(evaluation_report, evaluation=evaluation, curves=roc_curves(labels, scores, label_set))
    write_evaluation_report(tmp_path / "report.html", other)
    page = Page(tmp_path / "report.html")
    assert page.row("Mass") == ["Mass", "1.000", "1.000", "1", "1"]
    assert "CheXNet" not in page.text


def test_unknown_labels_have_a_column_only_where_there_are_some(
    evaluation_report: EvaluationReport, evaluation_page: Page, tmp_path: Path
) -> None:
    labels, scores, label_set = [[1.0], [0.0], [np.nan]], [[0.9], [0.2], [0.1]], LabelSet(("Mass",))
    evaluation = evaluate_scores(labels, scores, label_set)
    other = replace(evaluation_report, evaluation=evaluation, curves=roc_curves(labels, scores, label_set))
    write_evaluation_report(tmp_path / "report.html", other)
    assert Page(tmp_path / "report.html").row("Mass") == ["Mass", "1.000", "1.000", "1", "1", "1"]
    assert "Unknown" not in evaluation_page.text


def test_a_training_report_is_of_validation_only(training_page: Page) -> None:
    assert "Validation only: these radiographs were used to choose the weights" in training_page.text
    assert "radspark evaluate" in training_page.text
    assert "This model, validation" in training_page.text


def test_validation_that_chose_no_weights_is_not_said_to_have(training_report: TrainingReport, tmp_path: Path) -> None:
    write_training_report(tmp_path / "report.html", replace(training_report, keep="last"))
    text = Page(tmp_path / "report.html").text
    assert "used to choose the weights" not in text and "Validation only:" in text


def test_every_epoch_has_its_row(training_page: Page) -> None:
    assert training_page.row("2") == ["2", "5.00e-05", "0.1500", "0.1550", "0.640", "0.200", "5.2", "1 min 02 s", "2"]
    assert "2 epochs took 2 min 04 s" in training_page.text


def test_splits_are_counted_and_summed(training_page: Page) -> None:
    assert training_page.row("Train") == ["Train", "1,200", "1,900", "2"]
    assert training_page.row("Together") == ["Together", "1,450", "2,200", "2"]


def test_the_banner_is_on_synthetic_data_alone(
    evaluation_report: EvaluationReport, evaluation_page: Page, tmp_path: Path
) -> None:
    drawn = replace(evaluation_report, data=replace(evaluation_report.data, synthetic=True))
    write_evaluation_report(tmp_path / "report.html", drawn)
    assert "Synthetic data. These radiographs were drawn by a program." in Page(tmp_path / "report.html").text
    assert "Synthetic" not in evaluation_page.text


def test_it_says_that_it_is_no_medical_device(training_page: Page, evaluation_page: Page) -> None:
    assert "Not a medical device." in training_page.text
    assert "Not a medical device." in evaluation_page.text


def test_nothing_comes_from_outside_the_file(training_page: Page) -> None:
    assert {tag for tag, _ in training_page.tags}.isdisjoint({"script", "iframe", "object", "embed", "audio", "video"})
    sources = [values["src"] for _, values in training_page.tags if "src" in values]
    links = [values["href"] for tag, values in training_page.tags if tag == "link"]
    assert all(source.startswith("data:") for source in sources + links)
    assert not re.search(r"url\((?!#)|@import", training_page.source)


@pytest.mark.parametrize(
    "path", ["/home/jane.doe/w.safetensors", r"C:\jane.doe\w.safetensors", "s3a://jane.doe/w.safetensors"]
)
def test_of_a_path_in_the_recipe_only_the_last_part_is_shown(
    evaluation_report: EvaluationReport, tmp_path: Path, path: str
) -> None:
    secret = replace(evaluation_report, recipe={"model": {"weights": path, "mean": 127.5}, "weights": [path]})
    write_evaluation_report(tmp_path / "report.html", secret)
    page = Page(tmp_path / "report.html")
    assert page.text.count("w.safetensors") == 2
    assert "jane.doe" not in page.source


def test_the_schedule_of_the_recipe_is_shown_phase_by_phase(training_page: Page) -> None:
    assert re.search(r"Schedule 1 kind warmup .* Schedule 2 kind plateau metric loss factor 0\.1", training_page.text)


def test_text_is_never_markup(evaluation_report: EvaluationReport, tmp_path: Path) -> None:
    label_set = LabelSet(("<b>&$Mass$",))
    evil = replace(
        evaluation_report,
        title="<script>alert(1)</script>",
        evaluation=evaluate_scores([[1.0], [0.0]], [[0.9], [0.1]], label_set),
        curves=roc_curves([[1.0], [0.0]], [[0.9], [0.1]], label_set),
        data=replace(evaluation_report.data, positives={"<b>&$Mass$": 1}),
    )
    write_evaluation_report(tmp_path / "report.html", evil)
    page = Page(tmp_path / "report.html")
    assert page.row("<b>&$Mass$")[1] == "1.000"
    assert "script" not in {tag for tag, _ in page.tags}


def test_example_pixels_come_through_unchanged_and_unnamed(
    evaluation_report: EvaluationReport, evaluation_page: Page
) -> None:
    source = next(values["src"] for tag, values in evaluation_page.tags if tag == "img")
    image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(image), evaluation_report.examples[0].pixels)
    assert image.info == {}


def test_examples_name_their_labels_and_mark_their_hits(evaluation_page: Page) -> None:
    assert "Pleural Thickening not labelled: Mass 0.61 labelled: Pleural Thickening 0.25" in evaluation_page.text


def test_a_large_example_is_reduced(evaluation_report: EvaluationReport, tmp_path: Path) -> None:
    large = ExampleRadiograph(pixels=np.zeros((1024, 512), np.uint8), present=(), top=())
    write_evaluation_report(tmp_path / "report.html", replace(evaluation_report, examples=[large]))
    source = re.search(r"data:image/png;base64,([^\"]+)", (tmp_path / "report.html").read_text()).group(1)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (160, 320)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)])
def test_pixels_other_than_grey_bytes_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"pixels must be uint8 \(H, W\), got (uint8 \(2, 2, 3\)|float32 \(2, 2\))"):
        ExampleRadiograph(pixels=pixels, present=(), top=())


def test_the_same_report_has_the_same_bytes(training_report: TrainingReport, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_training_report(tmp_path / name, training_report)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_ids_are_unique_in_the_page(training_page: Page) -> None:
    ids = Counter(values["id"] for _, values in training_page.tags if "id" in values)
    assert len(ids) > 14
    assert set(ids.values()) == {1}


def test_a_report_without_any_defined_number_is_still_written(training_report: TrainingReport, tmp_path: Path) -> None:
    label_set = LabelSet(("Mass",))
    nothing = {"mean_auroc": None, "mean_average_precision": None, "loss": 0.7}
    blank = replace(
        training_report,
        evaluation=evaluate_scores([[0.0]], [[0.5]], label_set),
        curves={},
        examples=(),
        recipe={},
        history=[{**training_report.history[0], "validation": nothing}],
        kept_epoch=1,
        keep="last",
        data=replace(training_report.data, positives={"Mass": 0}, no_finding=None),
    )
    write_training_report(tmp_path / "report.html", blank)
    page = Page(tmp_path / "report.html")
    assert page.row("Mass") == ["Mass", "no positive", "0", "1"]
    assert "whose weights were kept: the last. 1 epoch took" in page.text
