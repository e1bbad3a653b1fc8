"""Loading a file of weights into a trunk: formats, prefixes, one channel from three, and what to say when they misfit.

Fetching the file from a Spark file system is left to the caller, who passes its bytes.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from radspark.errors import WeightsError
from radspark.nn.architectures import Shapes, find_prefix, guess_architecture, is_color, tensor_shapes

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema")
"""Keys under which training scripts keep the state dict in a checkpoint."""
_CLASSIFIERS = ("classifier.", "fc.", "head.", "last_linear.", "AuxLogits.")
"""Where timm and torchvision keep classifiers; radspark's head is new."""
_DENSENET_2017 = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""torchvision's DenseNet files spell `norm1` as `norm.1`."""


@dataclass(frozen=True)
class WeightsReport:
    """What became of the tensors of a file."""

    loaded: tuple[str, ...]
    summed: tuple[str, ...]
    """First convolutions whose three color channels were summed into one."""
    ignored: tuple[str, ...]
    """Tensors of classifiers, of layers behind the cut, and outside the network that the file wraps."""


@dataclass(frozen=True)
class _Match:
    """Names of a file sorted by what a trunk does with them."""

    report: WeightsReport
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]


def load_weights(trunk: nn.Module, source: Path | bytes, *, backbone: str, name: str | None = None) -> WeightsReport:
    """Fill a trunk from a `.safetensors` file or a state dict saved by torch, told apart by content.

    A prefix before the trunk's names is taken off (`module.`, `model.`, radspark's own `trunk.`). Halves become
    float32. A first convolution for color is summed over its channels: that equals feeding it the grey image thrice.

    Args:
        trunk: the network to fill; unchanged if this raises.
        source: a local path, or the file's bytes.
        backbone: timm's name of the whole architecture, to know which names a cut trunk leaves out.
        name: what messages call the file; by default a path's own.

    Raises:
        WeightsError: not readable as weights, or names or shapes do not fit.
    """
    where = name or (source.name if isinstance(source, Path) else "the file of weights")
    tensors, metadata = _read(source, where)
    wanted = trunk.state_dict()
    prefix = find_prefix(tensors, wanted=wanted)
    inside = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    outside = tuple(key for key in tensors if not key.startswith(prefix))
    match = _match(_shapes(inside), wanted=_shapes(wanted), backbone=backbone, outside=outside)
    if match.missing or match.unexpected or match.misshapen:
        raise WeightsError(_misfit(match, _shapes(inside), where=where, backbone=backbone, metadata=metadata))
    for key in match.report.loaded:
        tensor = inside[key].to(wanted[key].dtype)
        wanted[key] = tensor.sum(dim=1, keepdim=True) if key in match.report.summed else tensor
    trunk.load_state_dict(wanted)
    return match.report


def _read(source: Path | bytes, where: str) -> tuple[dict[str, torch.Tensor], Mapping[str, str]]:
    """Tensors by name, and the metadata of a safetensors file."""
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {source!s} cannot be read: {error.strerror}; name a file of weights.") from error
    try:
        if data[8:9] == b"{":
            tensors = safetensors.torch.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = header.get("__metadata__", {})
        else:
            tensors, metadata = _state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)), {}
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(
            f"{where} is neither a safetensors file nor a state dict that torch reads with weights_only "
            f"({type(error).__name__}); save one with torch.save(model.state_dict(), path)."
        ) from error
    if not tensors:
        raise WeightsError(f"{where} holds no tensors; save one with torch.save(model.state_dict(), path).")
    return {_DENSENET_2017.sub(r"\1\2.", name): tensor for name, tensor in tensors.items()}, metadata


def _state_dict(loaded: object) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, out of the dict that a training script put around them."""
    if not isinstance(loaded, Mapping):
        return {}
    for key in _WRAPPERS:
        if isinstance(loaded.get(key), Mapping):
            return _state_dict(loaded[key])
    return {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _match(shapes: Shapes, *, wanted: Shapes, backbone: str, outside: Sequence[str]) -> _Match:
    extra = [name for name in shapes if name not in wanted]
    whole = tensor_shapes(backbone) if extra else {}
    ignored = [name for name in extra if name in whole or name.startswith(_CLASSIFIERS)]
    loaded = [name for name in wanted if name in shapes]
    summed = [name for name in loaded if is_color(shapes[name], wanted[name])]
    return _Match(
        WeightsReport(tuple(loaded), tuple(summed), (*ignored, *outside)),
        missing=tuple(n for n in wanted if n not in shapes and not n.endswith("num_batches_tracked")),
        unexpected=tuple(sorted(set(extra) - set(ignored))),
        misshapen=tuple(n for n in loaded if shapes[n] != wanted[n] and n not in summed),
    )


def _misfit(match: _Match, shapes: Shapes, *, where: str, backbone: str, metadata: Mapping[str, str]) -> str:
    """What is wrong, and whose weights these seem to be."""
    parts = {"missing": match.missing, "unexpected": match.unexpected, "of another shape": match.misshapen}
    found = "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in parts.items() if names)
    architecture = metadata.get("architecture") or guess_architecture(shapes)
    if architecture == backbone:
        last = metadata.get("complete_through", "the last layer that the file holds")
        remedy = f"It seems to hold a part of {backbone}: set model.truncate_at to {last}."
    elif architecture:
        remedy = f"It seems to be for {architecture}: set model.backbone to that."
    else:
        remedy = "Is it for another backbone?"
    return f"{where} does not fit {backbone}: {found}. {remedy}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _shapes(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
