"""Spark ML's face of radspark: the estimator, the model, an evaluator, and tuning by patients."""

from radspark.ml.classifier import XRayClassifier
from radspark.ml.evaluator import XRayEvaluator
from radspark.ml.model import XRayModel
from radspark.ml.studies import combine_studies
from radspark.ml.tuning import PatientTrainValidationSplit

__all__ = ["PatientTrainValidationSplit", "XRayClassifier", "XRayEvaluator", "XRayModel", "combine_studies"]
