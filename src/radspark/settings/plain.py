"""Settings to plain values, for TOML and JSON, and back."""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from radspark.errors import ArgumentError
from radspark.settings.checks import require
from radspark.settings.schedule import PHASES, Phase

T = TypeVar("T")


def to_dict(settings: Any) -> dict[str, Any]:
    """Plain dicts, lists and scalars, without None: ready for TOML and JSON. Inverse of `from_dict`."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if value is None:
            continue
        if item.name == "schedule":
            kinds = {cls: kind for kind, cls in PHASES.items()}
            out["schedule"] = [{"kind": kinds[type(phase)], **to_dict(phase)} for phase in value]
        elif dataclasses.is_dataclass(value):
            out[item.name] = to_dict(value)
        else:
            out[item.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_dict(cls: type[T], values: Mapping[str, Any], *, where: str = "recipe") -> T:
    """Build settings from plain values, refusing unknown names and wrong types.

    Raises:
        ArgumentError: names the field, what it must be, what it was, and for an unknown name the nearest one.
    """
    if not isinstance(values, Mapping):
        raise ArgumentError(f"{where} must be a table of settings, got {values!r}.")
    hints = typing.get_type_hints(cls)
    known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has {', '.join(known)}."
            raise ArgumentError(f"{where} has no setting {name!r}.{hint}")
        path = f"{where}.{name}"
        if name == "schedule":
            require(isinstance(value, list | tuple), f"{path} must be a list of tables, got {value!r}.")
            arguments[name] = tuple(_phase(item, where=f"{path}[{i}]") for i, item in enumerate(value))
        elif dataclasses.is_dataclass(hints[name]):
            arguments[name] = from_dict(typing.cast("type[Any]", hints[name]), value, where=path)
        else:
            arguments[name] = _checked(value, hints[name], path)
    return cls(**arguments)


def _phase(values: Mapping[str, Any], *, where: str) -> Phase:
    require(isinstance(values, Mapping), f"{where} must be a table with a kind, got {values!r}.")
    rest = dict(values)
    kind = rest.pop("kind", None)
    if kind not in PHASES:
        raise ArgumentError(f"{where}.kind must be one of {', '.join(PHASES)}, got {kind!r}.")
    return from_dict(PHASES[kind], rest, where=where)


def _checked(value: Any, hint: Any, path: str) -> Any:
    """The value as its annotated type, with integers widened to floats and lists to tuples."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        for option in options:
            try:
                return _checked(value, option, path)
            except ValueError:  # noqa: PERF203
                continue
    elif origin is Literal:
        if value in options:
            return value
        raise ArgumentError(f"{path} must be one of {', '.join(map(str, options))}, got {value!r}.")
    elif origin is tuple and isinstance(value, list | tuple):
        items = options[:1] * len(value) if options[-1] is Ellipsis else options
        if len(items) == len(value):
            return tuple(_checked(item, kind, path) for item, kind in zip(value, items, strict=True))
    elif origin is collections.abc.Mapping and isinstance(value, Mapping):
        return {name: _checked(item, options[1], f"{path}.{name}") for name, item in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is Any or (hint in (int, str, bool, types.NoneType) and type(value) is hint):
        return value
    shown = getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
    raise ArgumentError(f"{path} must be {shown}, got {value!r}.")
