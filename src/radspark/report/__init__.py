"""Results as one HTML file for people: plain values in, a page with its figures out."""

from radspark.report.content import DataSummary, EvaluationReport, ExampleRadiograph, Mistake, SplitSize, TrainingReport
from radspark.report.writing import write_evaluation_report, write_training_report

__all__ = [
    "DataSummary",
    "EvaluationReport",
    "ExampleRadiograph",
    "Mistake",
    "SplitSize",
    "TrainingReport",
    "write_evaluation_report",
    "write_training_report",
]
