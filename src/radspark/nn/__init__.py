"""Networks and what trains them, in torch without Spark; names below load their module, and torch, when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radspark.nn.augmentation import augment, center_crop
    from radspark.nn.losses import balanced_positive_weights, masked_bce
    from radspark.nn.network import XRayNetwork, build_network
    from radspark.nn.optimizers import build_optimizer
    from radspark.nn.schedules import Schedule, ScheduleState
    from radspark.nn.user_module import wrap_user_module
    from radspark.nn.weights import load_weights

_HOMES = {
    "Schedule": "schedules",
    "ScheduleState": "schedules",
    "XRayNetwork": "network",
    "augment": "augmentation",
    "balanced_positive_weights": "losses",
    "build_network": "network",
    "build_optimizer": "optimizers",
    "center_crop": "augmentation",
    "load_weights": "weights",
    "masked_bce": "losses",
    "wrap_user_module": "user_module",
}

__all__ = [
    "Schedule",
    "ScheduleState",
    "XRayNetwork",
    "augment",
    "balanced_positive_weights",
    "build_network",
    "build_optimizer",
    "center_crop",
    "load_weights",
    "masked_bce",
    "wrap_user_module",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
