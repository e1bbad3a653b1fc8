"""Every choice of a run as frozen dataclasses; a recipe is all of them together.

Holds names, defaults, ranges and the checks that need no data. What the choices do lives where they are used.
"""

from radspark.settings.checks import require
from radspark.settings.data import AugmentationSettings, DataSettings, PreparationSettings, SplitSettings
from radspark.settings.model import ModelSettings
from radspark.settings.optimizer import OptimizerSettings
from radspark.settings.plain import from_dict, to_dict
from radspark.settings.recipe import PRESETS, Recipe
from radspark.settings.schedule import PHASES, Constant, Cosine, Phase, Plateau, Polynomial, StepDecay, Warmup
from radspark.settings.training import CacheLevel, DecisionSettings, Device, Synchronizer, TrainingSettings

__all__ = [
    "PHASES",
    "PRESETS",
    "AugmentationSettings",
    "CacheLevel",
    "Constant",
    "Cosine",
    "DataSettings",
    "DecisionSettings",
    "Device",
    "ModelSettings",
    "OptimizerSettings",
    "Phase",
    "Plateau",
    "Polynomial",
    "PreparationSettings",
    "Recipe",
    "SplitSettings",
    "StepDecay",
    "Synchronizer",
    "TrainingSettings",
    "Warmup",
    "from_dict",
    "require",
    "to_dict",
]
