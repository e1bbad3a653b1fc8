"""The written page in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radspark.report import EvaluationReport, TrainingReport, write_evaluation_report, write_training_report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_the_page_asks_for_nothing_and_fits_its_window(
    browser_page: Any,
    training_report: TrainingReport,
    full_report: EvaluationReport,
    tmp_path: Path,
    width: int,
    kind: str,
) -> None:
    if kind == "training":
        write_training_report(tmp_path / "report.html", training_report)
    else:
        write_evaluation_report(tmp_path / "report.html", full_report)
    browser_page.open(tmp_path / "report.html", width=width)
    requested = {event["params"]["request"]["url"] for event in browser_page.sent("Network.requestWillBeSent")}
    assert {url for url in requested if not url.startswith("data:")} == {(tmp_path / "report.html").as_uri()}
    assert browser_page.sent("Log.entryAdded") == []
    assert browser_page.evaluate("document.documentElement.scrollWidth") == width
    assert browser_page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")


def test_colors_follow_the_readers_choice_of_light_or_dark(
    browser_page: Any, training_report: TrainingReport, tmp_path: Path
) -> None:
    write_training_report(tmp_path / "report.html", training_report)
    grounds = []
    for dark in (False, True):
        browser_page.open(tmp_path / "report.html", width=1280, dark=dark)
        grounds.append(browser_page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]
