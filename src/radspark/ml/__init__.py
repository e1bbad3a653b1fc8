"""Spark ML's face of radspark: the estimator, the model, and an evaluator."""

from radspark.ml.classifier import XRayClassifier
from radspark.ml.evaluator import XRayEvaluator
from radspark.ml.model import XRayModel
from radspark.ml.studies import combine_studies

__all__ = ["XRayClassifier", "XRayEvaluator", "XRayModel", "combine_studies"]
