"""Bundles: what is saved comes back, and every kind of damage is said in a sentence."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from radspark.bundle import Bundle, load_bundle, save_bundle
from radspark.errors import BundleError
from radspark.labels import LabelSet
from radspark.settings import ModelSettings, PreparationSettings


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(
        model=ModelSettings(backbone="resnet10t", truncate_at="layer2", mean=128.0, std=128.0),
        preparation=PreparationSettings(size=320, aspect="pad", grey_range="own_range"),
        labels=LabelSet(("Effusion", "Mass")),
        weights={"head.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)},
        training={"dataset": "nih", "synthetic": True, "validation_mean_auroc": 0.71234},
    )


def test_a_bundle_comes_back_as_it_was(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    assert (loaded.model, loaded.preparation, loaded.labels) == (bundle.model, bundle.preparation, bundle.labels)
    assert loaded.training == bundle.training
    for name, array in bundle.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array)
    assert set(loaded.versions) >= {"python", "radspark", "torch", "timm"}


def test_the_folder_holds_three_files_and_no_pickle(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_the_card_says_what_it_is(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    card = (tmp_path / "README.md").read_text()
    for fact in (
        "resnet10t, cut after `layer2`",
        "Effusion, Mass",
        "synthetic: True",
        "0.7123",
        "not a medical device",
    ):
        assert fact in card


def test_changed_weights_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match=r"has sha256 \w+…, but config.json expects"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(bundle: Bundle, tmp_path: Path, name: str) -> None:
    save_bundle(bundle, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}; a bundle holds"):
        load_bundle(tmp_path)


def change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_a_newer_format_asks_for_a_newer_radspark(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    change(tmp_path, format_version=2)
    with pytest.raises(BundleError, match="bundle of format 2; this radspark reads up to 1: upgrade"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "values", [{"labels": 3}, {"labels": []}, {"model": {"backbon": "x"}}, {"weights": {}}, {"format_version": "1"}]
)
def test_a_config_of_something_else_is_refused(bundle: Bundle, tmp_path: Path, values: dict) -> None:
    save_bundle(bundle, tmp_path)
    change(tmp_path, **values)
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_config_that_is_no_json_object_is_refused(bundle: Bundle, tmp_path: Path, text: str) -> None:
    save_bundle(bundle, tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


DECISION = {
    "calibration": {"method": "platt", "findings": {"Effusion": {"slope": 0.5, "intercept": -1.0}, "Mass": {}}},
    "thresholds": {"youden": {"Effusion": 0.25}},
    "targets": {},
    "num_samples": 40,
}


def test_calibration_and_thresholds_travel_with_it(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(dataclasses.replace(bundle, decision=DECISION), tmp_path)
    assert load_bundle(tmp_path).decision == DECISION
    card = (tmp_path / "README.md").read_text()
    assert "calibrated probabilities (platt)" in card
    assert "| Effusion | 0.2500 |" in card and "| Mass | – |" in card


def test_an_older_bundle_without_a_decision_is_read(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    assert "decision" not in json.loads((tmp_path / "config.json").read_text())
    assert load_bundle(tmp_path).decision is None


def test_another_number_of_findings_than_the_network_gives_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    weights = {**bundle.weights, "head.bias": np.zeros(3, np.float32)}
    save_bundle(dataclasses.replace(bundle, weights=weights), tmp_path)
    with pytest.raises(BundleError, match=r"config.json names 2 findings, but the network in .* gives 3"):
        load_bundle(tmp_path)
    save_bundle(dataclasses.replace(bundle, weights=weights, user_module="a.Net"), tmp_path)
    assert len(load_bundle(tmp_path).labels) == 2
