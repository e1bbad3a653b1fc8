"""The layers of a network by their dotted names, in the order in which a forward pass completes them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.func import functional_call

from radspark.errors import ArgumentError


@dataclass(frozen=True)
class ForwardPass:
    """What one forward pass ran."""

    layers: tuple[str, ...]
    """Names of the modules as they completed; a module called twice stands twice."""
    output_shape: tuple[int, ...] | None
    """None if the output is not one tensor."""


def trace_forward(module: nn.Module, *, input_size: int) -> ForwardPass:
    """Run a module on one grey image without computing: shapes only, on torch's meta device.

    Raises:
        ArgumentError: the module cannot take such an image.
    """
    completed: list[str] = []

    def note(name: str, *_: object) -> None:
        completed.append(name)

    hooks = [child.register_forward_hook(partial(note, name)) for name, child in module.named_modules() if name]
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    shapes_only = {name: tensor.to("meta") for name, tensor in tensors.items()}
    image = torch.empty(1, 1, input_size, input_size, device="meta")
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = functional_call(module, shapes_only, (image,))
    except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError) as error:
        reason = str(error) or type(error).__name__
        raise ArgumentError(
            f"the backbone cannot take a grey image of model.input_size {input_size}: {reason}"
        ) from error
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return ForwardPass(tuple(completed), tuple(output.shape) if isinstance(output, torch.Tensor) else None)


def check_layer(name: str, layers: Iterable[str], *, setting: str) -> None:
    """Raise ArgumentError unless a layer of this name exists; the message names the nearest ones first."""
    known = with_containers(layers)
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=8, cutoff=0.4)
    outermost = [layer for layer in known if "." not in layer]
    if len(outermost) < 8:
        outermost = [layer for layer in known if layer.count(".") <= 1]
    listed = near + [layer for layer in outermost if layer not in near]
    raise ArgumentError(
        f"{setting} must name a layer of the backbone, got {name!r}; the nearest and the outermost are "
        f"{', '.join(listed)}."
    )


def with_containers(layers: Iterable[str]) -> list[str]:
    """Layer names and the names that hold them (`layer4` for `layer4.0.conv1`), each once, outer ones first."""
    known: dict[str, None] = {}
    for layer in layers:
        parts = layer.split(".")
        known.update(dict.fromkeys(".".join(parts[: i + 1]) for i in range(len(parts))))
    return list(known)


def names_up_to(last: str, *, layers: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of `names` (modules) that a forward pass has completed when the layer `last` completes.

    A module that is not called itself completes with the last of its parts; one whose tensors are used without any
    call completes with the module that holds it.
    """
    completed_at: dict[str, int] = {}
    for position, layer in enumerate(layers):
        completed_at.update(dict.fromkeys(with_containers([layer]), position))

    def position_of(name: str) -> int:
        while name not in completed_at:
            name = name.rpartition(".")[0]
            if not name:
                return len(layers)
        return completed_at[name]

    return [name for name in names if position_of(name) <= completed_at[last]]
