"""Recipes: what is written is what is read, and a wrong value names its field, rule and value."""

import json

import pytest
import tomli_w
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from radspark.settings import (
    PRESETS,
    AugmentationSettings,
    Cosine,
    ModelSettings,
    OptimizerSettings,
    Plateau,
    PreparationSettings,
    Recipe,
    TrainingSettings,
    Warmup,
    from_dict,
    to_dict,
)

RECIPES = st.builds(
    Recipe,
    preparation=st.builds(PreparationSettings, size=st.integers(16, 4096)),
    augmentation=st.builds(AugmentationSettings, scale=st.floats(0, 0.99), rotation_degrees=st.floats(0, 180)),
    model=st.builds(
        ModelSettings,
        backbone=st.sampled_from(["resnet50", "vgg16"]),
        input_size=st.integers(16, 4096),
        dropout=st.floats(0, 0.99),
        mean=st.none() | st.floats(0, 255),
        std=st.none() | st.floats(1, 255),
    ),
    schedule=st.lists(st.builds(Warmup, start_factor=st.floats(0, 1)), max_size=2).map(lambda w: (*w, Cosine())),
    training=st.builds(TrainingSettings, positive_weights=st.sampled_from([None, "balanced", (1.0, 2.0)])),
)


@given(RECIPES)
def test_a_recipe_survives_toml_and_json(recipe: Recipe) -> None:
    assert from_dict(Recipe, tomllib.loads(tomli_w.dumps(to_dict(recipe)))) == recipe
    assert from_dict(Recipe, json.loads(json.dumps(to_dict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainin": {}}, "recipe has no setting 'trainin'. Did you mean 'training'?"),
        ({"training": {"epoch": 3}}, "recipe.training has no setting 'epoch'. Did you mean 'epochs'?"),
        ({"training": {"epochs": "3"}}, "recipe.training.epochs must be int, got '3'."),
        ({"training": {"epochs": 0}}, "training.epochs must be at least 1, got 0."),
        ({"training": {"num_workers": True}}, "recipe.training.num_workers must be int | None, got True."),
        ({"optimizer": {"name": "sdg"}}, "recipe.optimizer.name must be one of sgd, adam, adamw, lars, got 'sdg'."),
        ({"schedule": [{"kind": "cosin"}]}, "recipe.schedule[0].kind must be one of constant, warmup"),
        ({"schedule": []}, "schedule must have at least one phase, got none"),
        ({"schedule": [{"kind": "cosine"}, {"kind": "cosine"}]}, "only the last phase of a schedule may leave"),
        ({"training": 3}, "recipe.training must be a table of settings, got 3."),
        ({"schedule": {"kind": "cosine"}}, "recipe.schedule must be a list of tables, got {'kind': 'cosine'}."),
        ({"schedule": ["cosine"]}, "recipe.schedule[0] must be a table with a kind, got 'cosine'."),
        (
            {"optimizer": {"learning_rate": float("inf")}},
            "optimizer.learning_rate must be above 0 and finite, got",
        ),
        (
            {"optimizer": {"learning_rate": float("nan")}},
            "optimizer.learning_rate must be above 0 and finite, got",
        ),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "optimizer.betas must be at least 0 and below 1, got 0.9 and 1.0."),
        ({"optimizer": {"betas": [0.9]}}, "recipe.optimizer.betas must be"),
        ({"optimizer": {"eps": 0.0}}, "optimizer.eps must be above 0, got 0.0."),
        ({"model": {"std": 0.0}}, "model.std must be above 0, got 0.0."),
        ({"training": {"positive_weights": [1.0, 0.0]}}, "training.positive_weights must all be above 0, one for each"),
        (
            {"training": {"device": "cuda", "synchronizer": "sliced"}},
            "training.device cuda needs training.synchronizer collective, got sliced.",
        ),
        ({"schedule": [{"kind": "constant", "epochs": 0}]}, "constant.epochs must be above 0, got 0.0."),
        ({"schedule": [{"kind": "step", "factor": 1.5}]}, "step.factor must be above 0 and at most 1, got 1.5."),
        ({"schedule": [{"kind": "cosine", "epochs": -1}]}, "cosine.epochs must be above 0, got -1.0."),
        ({"schedule": [{"kind": "cosine", "min_learning_rate": -1}]}, "cosine.min_learning_rate must be at least 0"),
        ({"schedule": [{"kind": "polynomial", "power": 0}]}, "polynomial.power must be above 0, got 0.0."),
        ({"schedule": [{"kind": "plateau", "factor": 1.0}]}, "plateau.factor must be above 0 and below 1, got 1.0."),
        ({"schedule": [{"kind": "plateau", "patience": -1}]}, "plateau.patience must be at least 0, got -1."),
        ({"schedule": [{"kind": "plateau", "cooldown": -1}]}, "plateau.cooldown must be at least 0, got -1."),
        ({"augmentation": {"flip": 2.0}}, "augmentation.flip must be between 0 and 1, got 2.0."),
        ({"preparation": {"size": 4}}, "size must be between 16 and 4096 pixels, got 4."),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match="^" + __import__("re").escape(message)):
        from_dict(Recipe, values)


def test_an_input_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="input_size must be at most the side of the prepared images .128., got 224"):
        Recipe().with_image_size(128)


@pytest.mark.parametrize(
    ("name", "peak", "first", "warmup"), [("deck-adam", 1e-4, 1e-7, 5), ("deck-sgd", 1e-3, 1e-6, 10)]
)
def test_the_decks_presets_are_its_published_settings(name: str, peak: float, first: float, warmup: int) -> None:
    recipe = PRESETS[name]
    phases = recipe.schedule
    assert recipe.optimizer.learning_rate == peak
    assert phases[0].epochs == warmup
    assert phases[0].start_factor * peak == pytest.approx(first)
    assert phases[1] == Plateau("loss", 0.1, 1, 0.01, 0, 1e-15)
    assert (recipe.preparation.size, recipe.model.input_size, recipe.model.dropout) == (256, 224, 0.2)
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.optimizer.head_l2) == (15, 1024, 0.1)
    assert (recipe.augmentation.flip, recipe.augmentation.brightness * 255) == (0.5, 32)


def test_augmentation_is_off_only_if_nothing_changes_a_sample() -> None:
    assert AugmentationSettings(flip=0.0).is_off
    assert not AugmentationSettings(flip=0.0, crop="random").is_off
    assert not AugmentationSettings(flip=0.0, brightness=0.1).is_off
    assert OptimizerSettings().nesterov
