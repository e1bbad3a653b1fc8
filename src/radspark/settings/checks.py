"""What every choice is checked with."""

from __future__ import annotations

from radspark.errors import ArgumentError


def require(condition: bool, message: str) -> None:
    """Raise ArgumentError with a message that names field, rule and value."""
    if not condition:
        raise ArgumentError(message)
