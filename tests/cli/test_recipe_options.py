"""Presets, recipe files and flags become one recipe, and a written one is read back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from radspark.cli.recipe_options import resolve_preparation, resolve_recipe, write_recipe
from radspark.errors import DataError
from radspark.settings import PRESETS, PreparationSettings, Recipe


def resolve(file: Path | None = None, **more: Any) -> Recipe:
    choices: dict[str, Any] = {"preset": "default", "flags": {}, "image_size": None, "crop_size": None, **more}
    return resolve_recipe(file=file, **choices)


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("preset", PRESETS)
def test_a_written_recipe_is_read_back(tmp_path: Path, preset: str) -> None:
    flags = {
        ("training", "num_workers"): 3,
        ("training", "early_stopping_patience"): 2,
        ("optimizer", "clip_norm"): 1.5,
        ("model", "truncate_at"): "layer3",
    }
    recipe = resolve(preset=preset, flags=flags, image_size=96, crop_size=64)
    recipe = dataclasses.replace(
        recipe, training=dataclasses.replace(recipe.training, positive_weights=(1.0, 2.5), num_shards=4)
    )
    write_recipe(recipe, {"dataset": "nih"}, tmp_path / "recipe.toml")
    assert resolve(tmp_path / "recipe.toml") == recipe


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = write(tmp_path, "[training]\nepochs = 3\nbatch_size = 5\n")
    recipe = resolve(file, preset="deck-sgd", flags={("training", "epochs"): 4})
    assert (recipe.training.epochs, recipe.training.batch_size) == (4, 5)
    assert recipe.optimizer == PRESETS["deck-sgd"].optimizer


def test_the_network_sees_the_whole_image_unless_a_crop_is_asked_for() -> None:
    assert resolve(image_size=128).model.input_size == 128
    assert resolve(image_size=128, crop_size=112).model.input_size == 112
    assert resolve(image_size=128, crop_size=112).preparation.size == 128


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nbackbnoe = 'x'\n", "Did you mean 'backbone'"),
        ("[trainig]\nepochs = 3\n", "Did you mean 'training'"),
        ("model = 'resnet18'\n", "model must be a table"),
        ("schedule = 'cosine'\n", "schedule must be tables"),
        ("[training]\nepochs = 'ten'\n", "epochs must be int, got 'ten'"),
        ("[optimizer]\nname = 'adma'\n", "must be one of sgd, adam, adamw, lars, got 'adma'"),
        ("[[schedule]]\nkind = 'cosin'\n", "must be one of constant"),
    ],
)
def test_a_wrong_choice_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"), [("epochs: 3", "is not a TOML recipe"), ("format_version = 9\n", "is a recipe of format 9")]
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        resolve(write(tmp_path, text))


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.toml is not a file"):
        resolve(tmp_path / "no.toml")


def test_an_unknown_preset_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'deck-adam'"):
        resolve(preset="deck-adm")


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at most the side of the prepared images"):
        resolve(image_size=64, crop_size=128)


def test_a_data_set_asks_for_its_greys_unless_the_file_chooses_them(tmp_path: Path) -> None:
    assert resolve(datasets=["nih"]) == PRESETS["default"]
    assert resolve(datasets=["padchest"]).preparation.sixteen_bit == "used_bits"
    file = write(tmp_path, '[preparation]\nsixteen_bit = "full"')
    assert resolve(file, datasets=["padchest"]).preparation.sixteen_bit == "full"


def test_preparation_is_what_suits_the_data_set_then_the_recipe_then_flags(tmp_path: Path) -> None:
    file = write(tmp_path, "[preparation]\nvoi = 1\naspect = 'pad'\nsize = 64\n[training]\nepochs = 3\n")
    chosen = resolve_preparation(file=file, flags={"aspect": "stretch", "size": None}, datasets=["padchest"])
    assert chosen == PreparationSettings(size=64, voi=1, sixteen_bit="used_bits")
    assert resolve_preparation(file=None, flags={}, datasets=["nih"]) == PreparationSettings()


def test_unknown_choice_of_preparation_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="preparation has no setting 'window'"):
        resolve_preparation(file=write(tmp_path, "[preparation]\nwindow = 1"), flags={}, datasets=["nih"])
    with pytest.raises(ValueError, match="preparation.aspect must be one of"):
        resolve_preparation(file=None, flags={"aspect": "crop"}, datasets=["nih"])
