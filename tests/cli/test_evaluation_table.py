"""The table of an evaluation fits a terminal of 80 columns, its widest figures too."""

from __future__ import annotations

import io

from rich.console import Console

from radspark.cli.evaluation_table import evaluation_table
from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.metrics import Evaluation, Interval
from radspark.metrics.evaluation import FindingEvaluation

WIDEST = Interval(1.0, 1.0)
BOTH = {"auroc": 1.0, "average_precision": 1.0}
FINDING = FindingEvaluation(112_120, 112_120, 0, 0.5, BOTH, intervals={"auroc": WIDEST, "average_precision": WIDEST})


def evaluation(labels: LabelSet = NIH_FINDINGS) -> Evaluation:
    return Evaluation(
        num_samples=112_120,
        num_patients=30_805,
        findings=dict.fromkeys(labels, FINDING),
        means=BOTH,
        weighted_means=BOTH,
        mean_intervals={"auroc": WIDEST, "average_precision": WIDEST},
        loss=None,
    )


def test_nothing_is_cut_off_in_80_columns() -> None:
    written = io.StringIO()
    Console(file=written, width=80).print(evaluation_table(evaluation(), title="test split"))
    assert "…" not in written.getvalue()
    assert "Pleural_Thickening 1.000 [1.000, 1.000] 1.000 [1.000, 1.000]" in written.getvalue()


def test_a_long_name_is_folded_and_no_heading_cut() -> None:
    written = io.StringIO()
    labels = LabelSet(("Mass", "Chronic_Obstructive_Pulmonary_Disease"))
    Console(file=written, width=80).print(evaluation_table(evaluation(labels), title="test split"))
    heading = next(line for line in written.getvalue().splitlines() if "AUROC" in line)
    assert heading.split() == ["finding", "AUROC", "average", "precision", "positives", "negatives"]
    assert "…" not in written.getvalue()
