"""The names that other packages take from radspark.nn."""

from __future__ import annotations

import pytest

import radspark.nn


def test_the_public_names_are_these_and_exist() -> None:
    expected = (
        "Schedule ScheduleState XRayNetwork augment balanced_positive_weights build_network build_optimizer "
        "center_crop load_weights masked_bce wrap_user_module"
    )

    assert radspark.nn.__all__ == expected.split()
    assert all(getattr(radspark.nn, name).__name__ == name for name in radspark.nn.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        radspark.nn.nonsense  # noqa: B018
