"""When one value of a validation metric is better than another: for plateaus, early stopping and keeping the best."""

from __future__ import annotations

import math
from collections.abc import Collection

from radspark.errors import ArgumentError
from radspark.metrics import METRICS


def is_better(metric: str, new: float | None, old: float | None, *, min_delta: float = 0.0) -> bool:
    """True if `new` improves on `old` by more than `min_delta`; an undefined value (None, NaN) never does."""
    if new is None or math.isnan(new):
        return False
    if old is None:
        return True
    return new > old + min_delta if METRICS[metric].larger_is_better else new < old - min_delta


def check_metric(metric: str, available: Collection[str], *, setting: str) -> None:
    """Raise ArgumentError unless validation measures this metric; the message lists those that it does."""
    if metric not in available:
        raise ArgumentError(f"{setting} must be one of {', '.join(sorted(available))}, got {metric!r}.")
