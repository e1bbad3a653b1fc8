"""From a recipe file, a preset and flags to one Recipe: flags win over the file, the file over the preset."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from radspark.cli.data_choice import PREPARED
from radspark.datasets.registry import get_dataset, suited_preparation
from radspark.errors import ArgumentError, DataError
from radspark.settings import PRESETS, PreparationSettings, Recipe, from_dict, require, to_dict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT_VERSION = 1


def shown_default(section: str, name: str) -> str:
    """What help shows for an option that no flag, recipe or preset sets."""
    return str(getattr(getattr(PRESETS["default"], section), name))


def resolve_recipe(
    *,
    file: Path | None,
    preset: str,
    flags: Mapping[tuple[str, str], Any],
    image_size: int | None,
    crop_size: int | None,
    datasets: Sequence[str] = (),
) -> Recipe:
    """All choices of a run.

    Args:
        flags: (section, field) to value; None where a flag was not given.
        image_size: side of the prepared images; the network sees all of it unless `crop_size` is given.
        datasets: whose radiographs ask for another preparation than the preset's, unless file or flags choose it.

    Raises:
        ArgumentError: an unknown preset, field or value.
        DataError: the file is not TOML.
    """
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}.{hint}")
    values = to_dict(PRESETS[preset])
    for name in datasets:
        if name != PREPARED:
            values["preparation"].update(get_dataset(name).greys)
    for section, content in (_read(file) if file else {}).items():
        base = values.get(section)
        values[section] = {**base, **content} if isinstance(base, dict) else content
    for (section, name), value in flags.items():
        if value is not None:
            values[section][name] = value
    if image_size is not None:
        values["preparation"]["size"] = values["model"]["input_size"] = image_size
    if crop_size is not None:
        values["model"]["input_size"] = crop_size
    recipe = from_dict(Recipe, values)
    return recipe.with_image_size(recipe.preparation.size)


def resolve_preparation(*, file: Path | None, flags: Mapping[str, Any], datasets: Sequence[str]) -> PreparationSettings:
    """How radiographs are prepared, where nothing is trained: flags win over a recipe, the recipe over what suits.

    Raises:
        ArgumentError: an unknown field or value.
        DataError: the file is not TOML.
    """
    values = to_dict(suited_preparation(datasets))
    values |= _read(file).get("preparation", {}) if file else {}
    values |= {name: value for name, value in flags.items() if value is not None}
    return from_dict(PreparationSettings, values, where="preparation")


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"--recipe {file} is not a file; give one such as the recipe.toml of an earlier run.")
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a TOML recipe: {error}") from error
    version = values.pop("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise DataError(f"{file} is a recipe of format {version}; this radspark reads format {FORMAT_VERSION}.")
    values.pop("data", None)
    sections = [item.name for item in fields(Recipe)]
    for section, content in values.items():
        if section == "schedule":
            is_well_formed = isinstance(content, list) and all(isinstance(phase, dict) for phase in content)
            require(is_well_formed, f"{file}: schedule must be tables, each under [[schedule]], got {content!r}.")
        elif section in sections:
            require(isinstance(content, dict), f"{file}: {section} must be a table, [{section}], got {content!r}.")
    return values


def write_recipe(recipe: Recipe, data: Mapping[str, Any], file: Path) -> None:
    """Write the resolved recipe, with the data that it was run on for the reader's eye."""
    import tomli_w

    file.write_text(tomli_w.dumps({"format_version": FORMAT_VERSION, "data": dict(data), **to_dict(recipe)}))
