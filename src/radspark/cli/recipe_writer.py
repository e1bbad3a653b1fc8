"""Writes a run's recipe once the run begins: a command that is refused leaves an earlier run's recipe as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radspark.cli.recipe_options import write_recipe
from radspark.engine.observer import Observer, RunPlan
from radspark.settings import Recipe


class RecipeWriter(Observer):
    """Writes `recipe.toml` before the first round."""

    def __init__(self, recipe: Recipe, data: Mapping[str, Any], file: Path) -> None:
        self._recipe = recipe
        self._data = data
        self._file = file

    def run_started(self, plan: RunPlan) -> None:
        """Write it."""
        write_recipe(self._recipe, self._data, self._file)
