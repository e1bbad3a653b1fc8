"""A user's own torch module in the place of an XRayNetwork.

The contract: a factory without arguments returns a module that maps uint8 (N, 1, S, S) to logits (N, C) of the findings
in label order. Normalization, head, freezing and initial weights are the module's own business. What a forward pass
changes beside batch-norm's statistics is added up by nobody: the first worker's buffers are kept, which depend on how
many workers there are. Nothing is imported by a name found in a file: loading such a model asks for the factory again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import torch
from torch import nn

from radspark.errors import UserCodeError


class UserNetwork(nn.Module):
    """Has what training asks of a network: `forward` and `head_parameters`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images_N1SS: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of uint8 images (N, 1, S, S)."""
        logits_NC: torch.Tensor = self.module(images_N1SS)
        return logits_NC

    def head_parameters(self) -> list[nn.Parameter]:
        """Those of the module's own `head`; none where it has no such part, then `head_l2` has nothing to act on."""
        head = getattr(self.module, "head", None)
        return list(head.parameters()) if isinstance(head, nn.Module) else []


def wrap_user_module(factory: Callable[[], nn.Module], num_findings: int, *, input_size: int, seed: int) -> UserNetwork:
    """Build the user's module, with torch's generator seeded for it alone, and try it on two black images.

    Raises:
        UserCodeError: the factory or the module raised, or the output is not (N, C) of a float type.
    """
    images = torch.zeros(2, 1, input_size, input_size, dtype=torch.uint8)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            network = UserNetwork(factory())
            network.eval()
            with torch.no_grad():
                logits_NC = network(images)
        except Exception as error:
            raise UserCodeError(f"the user's module failed on two black images:\n{traceback.format_exc()}") from error
    shape = tuple(logits_NC.shape) if isinstance(logits_NC, torch.Tensor) else type(logits_NC).__name__
    if shape != (2, num_findings) or not logits_NC.is_floating_point():
        raise UserCodeError(
            f"the user's module must map uint8 (2, 1, {input_size}, {input_size}) to float logits (2, {num_findings}), "
            f"one per finding; got {shape}."
        )
    return network.train()
