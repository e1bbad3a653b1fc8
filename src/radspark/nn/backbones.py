"""Any timm backbone by name, for one grey channel: built, cut, and described; loading weights is left to `weights`.

timm's contract does the general work: `num_classes=0` gives pooled features as the architecture's authors pool them (a
class token, a normalization after the pool). Where a backbone is cut, the mean over all positions is the pool.
"""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from typing import Any

from torch import nn

from radspark.errors import ArgumentError, WeightsError
from radspark.nn.layers import check_layer, trace_forward
from radspark.nn.surgery import GlobalPool, cut_after, exclude_padding
from radspark.nn.timm_import import timm
from radspark.settings import ModelSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backbone:
    """A trunk and what its head needs to know."""

    trunk: nn.Module
    """float32 (N, 1, S, S), normalized, to what `pool` takes; its tensors have timm's names."""
    pool: GlobalPool
    num_features: int
    layers: tuple[str, ...]
    """Names in the order in which a forward pass completes them."""
    mean: float
    """Grey value, 0 to 255, that becomes 0."""
    std: float
    """Grey values that become 1."""


def build_backbone(settings: ModelSettings, *, download_weights: bool = False) -> Backbone:
    """Build the trunk that settings name, with random weights from torch's global generator or with timm's download.

    Raises:
        ArgumentError: unknown backbone, layer or input size; or one that cannot be cut.
        WeightsError: the download failed, or timm has none.
    """
    model = _create_model(settings, download_weights=download_weights)
    trunk = _trunk(model, settings)
    forward = trace_forward(trunk, input_size=settings.input_size)
    if forward.output_shape is None:
        raise ArgumentError(
            f"model.truncate_at must name a layer with one output, {settings.truncate_at!r} has several."
        )
    pool = GlobalPool(
        channels_last=getattr(model, "output_fmt", "NCHW") == "NHWC",
        num_prefix_tokens=getattr(model, "num_prefix_tokens", 0),
    )
    mean, std = _grey_statistics(settings)
    return Backbone(trunk, pool, _num_features(forward.output_shape, pool), forward.layers, mean, std)


def check_backbone(name: str) -> None:
    """Raise ArgumentError unless timm has this architecture; the message names the nearest ones."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture) or ":" in name:
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f"the nearest are {', '.join(near)}" if near else "timm.list_models() lists them"
        raise ArgumentError(f"model.backbone must be a timm architecture, got {name!r}; {hint}.")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ArgumentError(f"model.backbone {name!r}: timm has no weights {tag!r} of it; it has {', '.join(tags)}.")


def model_arguments(name: str, *, input_size: int) -> dict[str, Any]:
    """What `timm.create_model` needs beside the name: one channel, no classifier, a size where the size is fixed."""
    arguments: dict[str, Any] = {"in_chans": 1, "num_classes": 0}
    if _timm_record(name).fixed_input_size:
        arguments["img_size"] = input_size
    return arguments


def _create_model(settings: ModelSettings, *, download_weights: bool) -> nn.Module:
    name = settings.backbone
    check_backbone(name)
    arguments = model_arguments(name, input_size=settings.input_size)
    if not download_weights:
        return _untrained_model(name, arguments)
    if not _timm_record(name).has_weights:
        raise WeightsError(f"timm has no ImageNet weights for {name}; use weights 'none' or a file.")
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, **arguments)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the ImageNet weights of {name} could not be downloaded ({type(error).__name__}); on a machine with "
            "network run `timm.create_model(name, pretrained=True)`, save its state_dict as .safetensors, and pass "
            "that file as weights."
        ) from error
    return model


def _untrained_model(name: str, arguments: dict[str, Any]) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(name, **arguments)
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        size = arguments.get("img_size")
        raise ArgumentError(f"{name} cannot be built for model.input_size {size}: {error}") from error
    return model


def _trunk(model: nn.Module, settings: ModelSettings) -> nn.Module:
    """The model, or the part of it that settings ask for."""
    last_layer = settings.truncate_at or _layer_before_hidden_classifier(model)
    if last_layer is None and settings.pool_includes_padding:
        return model
    layers = trace_forward(model, input_size=settings.input_size).layers
    if settings.truncate_at is not None:
        check_layer(settings.truncate_at, layers, setting="model.truncate_at")
    cut = cut_after(model, last_layer or layers[-1])
    if not settings.pool_includes_padding and not exclude_padding(cut):
        logger.warning(
            "model.pool_includes_padding = false changes nothing: %s has no average pool that pads", settings.backbone
        )
    return cut


def _layer_before_hidden_classifier(model: nn.Module) -> str | None:
    """The last layer of the features where the classifier to be replaced has hidden layers, as VGG's two."""
    if model.num_features == model.head_hidden_size:
        return None
    last: dict[str, Any] = model.feature_info[-1]  # type: ignore[index,assignment]
    return str(last["module"]) if last["num_chs"] == model.num_features else None


def _timm_record(name: str) -> Any:
    """What timm keeps about a backbone: mean, std, where weights are, whether the input's size is fixed."""
    return timm.get_pretrained_cfg(name)


def _grey_statistics(settings: ModelSettings) -> tuple[float, float]:
    """Grey mean and standard deviation: the settings', else the mean over the three channels that timm names."""
    named = _timm_record(settings.backbone)
    mean = 255.0 * sum(named.mean) / len(named.mean) if settings.mean is None else settings.mean
    std = 255.0 * sum(named.std) / len(named.std) if settings.std is None else settings.std
    return mean, std


def _num_features(output_shape: tuple[int, ...], pool: GlobalPool) -> int:
    return output_shape[1] if len(output_shape) == 4 and not pool.channels_last else output_shape[-1]
