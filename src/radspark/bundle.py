"""A bundle: the saved model as a folder of `model.safetensors`, `config.json` and a `README.md` card; no pickle.

Holds layout, JSON and checksums. What the weights mean lives in `nn` and `predict`.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from radspark.errors import BundleError
from radspark.labels import LabelSet
from radspark.settings import DataSettings, ModelSettings, PreparationSettings, from_dict, to_dict

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
HEAD_BIAS = "head.bias"
"""The tensor with one number for each finding, of a network that is not the user's own."""
FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)


@dataclass(frozen=True)
class Bundle:
    """A classifier with all that is needed to apply it to a file."""

    model: ModelSettings
    preparation: PreparationSettings
    labels: LabelSet
    weights: Mapping[str, NDArray[Any]]
    """The network's tensors by name, normalisation included."""
    user_module: str | None = None
    """Description of the user's own network; None for a timm backbone. It is never imported by this name."""
    data: DataSettings | None = None
    """What it was trained on and how that was split; None where the samples did not tell."""
    decision: Mapping[str, Any] | None = None
    """Calibration and thresholds chosen on validation, as `metrics.decision.Decision.to_dict`; None without."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the card: counts, validation figures, whether the data were synthetic."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the packages that wrote it; filled in by `save_bundle`."""


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a folder, which is made if need be.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = _encode_weights(bundle)
    config = {
        "format_version": FORMAT_VERSION,
        "labels": list(bundle.labels),
        "model": to_dict(bundle.model),
        "preparation": to_dict(bundle.preparation),
        "training": dict(bundle.training),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("radspark", "torch", "timm")},
        "weights": {"file": WEIGHTS_FILE, "sha256": hashlib.sha256(weights).hexdigest()},
    }
    if bundle.user_module is not None:
        config["user_module"] = bundle.user_module
    if bundle.data is not None:
        config["data"] = to_dict(bundle.data)
    if bundle.decision is not None:
        config["decision"] = dict(bundle.decision)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / CARD_FILE).write_text(render_card(bundle), encoding="utf-8")
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def hash_weights(bundle: Bundle) -> str:
    """SHA-256 of its weights' file, in hexadecimal, as `config.json` has it: the same network gives the same scores."""
    return hashlib.sha256(_encode_weights(bundle)).hexdigest()


def _encode_weights(bundle: Bundle) -> bytes:
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in bundle.weights.items()})


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check it.

    Raises:
        BundleError: a file is missing or damaged, the checksum differs, the network has another number of findings, or
            the format is newer than this version.
    """
    config = _read_config(folder)
    try:
        labels = LabelSet(tuple(config["labels"]))
        model = from_dict(ModelSettings, config["model"], where=f"{CONFIG_FILE}: model")
        preparation = from_dict(PreparationSettings, config["preparation"], where=f"{CONFIG_FILE}: preparation")
        data_settings = (
            from_dict(DataSettings, config["data"], where=f"{CONFIG_FILE}: data") if "data" in config else None
        )
        expected = config["weights"]["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / CONFIG_FILE} is not a radspark bundle's: {error}") from error
    data = _read_file(folder, WEIGHTS_FILE)
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise BundleError(
            f"{folder / WEIGHTS_FILE} has sha256 {found[:12]}…, but {CONFIG_FILE} expects {str(expected)[:12]}…; "
            "the file was changed or cut: copy the bundle again."
        )
    try:
        weights = safetensors.numpy.load(data)
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS_FILE} is not a safetensors file: {error}") from error
    if "user_module" not in config and HEAD_BIAS in weights and len(weights[HEAD_BIAS]) != len(labels):
        raise BundleError(
            f"{folder / CONFIG_FILE} names {len(labels)} findings, but the network in {WEIGHTS_FILE} gives "
            f"{len(weights[HEAD_BIAS])}; the file was changed: copy the bundle again."
        )
    return Bundle(
        model=model,
        preparation=preparation,
        labels=labels,
        weights=weights,
        user_module=config.get("user_module"),
        data=data_settings,
        decision=config.get("decision"),
        training=config.get("training", {}),
        versions=config.get("versions", {}),
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read_file(folder, CONFIG_FILE))
    except ValueError as error:
        raise BundleError(f"{folder / CONFIG_FILE} is not JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise BundleError(f"{folder / CONFIG_FILE} has no format_version; is {folder} a radspark bundle?")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{folder} is a bundle of format {version}; this radspark reads up to {FORMAT_VERSION}: "
            "upgrade it with `pip install -U radspark`."
        )
    return dict(config)


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"{folder} has no {name}; a bundle holds {', '.join(FILES)}.") from error


def render_card(bundle: Bundle) -> str:
    """The bundle's README.md: what it is, what it was trained on, how to use it, and its limits."""
    network = bundle.user_module or bundle.model.backbone
    if bundle.model.truncate_at and bundle.user_module is None:
        network += f", cut after `{bundle.model.truncate_at}`"
    known = {**({} if bundle.data is None else to_dict(bundle.data)), **bundle.training}
    facts = "\n".join(f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in known.items())
    return f"""# Chest X-ray classifier

A [radspark](https://pypi.org/project/radspark/) bundle: {len(bundle.labels)} findings from one frontal radiograph.

- network: {network}
- input: {bundle.model.input_size} x {bundle.model.input_size} grey, cut from {bundle.preparation.size} x \
{bundle.preparation.size}
- findings: {", ".join(bundle.labels)}

## Training
{facts or "- not recorded"}

## Operating points
{_render_points(bundle)}

## Use
```
radspark predict --bundle . FILE_OR_FOLDER... --out predictions.csv
```

## Limits
Research use only; not a medical device. Probabilities are not calibrated for another hospital's patients, machines or
prevalences: test on local radiographs first.
"""


def _render_points(bundle: Bundle) -> str:
    """A table of thresholds; what they do on other patients is for an evaluation to say."""
    points = (bundle.decision or {}).get("thresholds", {})
    if not points:
        return "None were chosen: there were no validation radiographs."
    calibration = (bundle.decision or {}).get("calibration")
    about = f"calibrated probabilities ({calibration['method']})" if calibration else "probabilities"
    rows = [
        f"| {name} | " + " | ".join(_threshold(points[p].get(name)) for p in points) + " |" for name in bundle.labels
    ]
    return "\n".join(
        [
            f"Thresholds of {about}, chosen on the validation radiographs; at or above it a finding is called present.",
            "",
            f"| finding | {' | '.join(points)} |",
            f"| --- |{' --- |' * len(points)}",
            *rows,
        ]
    )


def _threshold(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
