"""TrainingState: all that is needed to go on with a run, and nothing else; packed, it is one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.numpy
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from radspark.nn.optimizers import load_optimizer_state, optimizer_state

NETWORK = "network."
OPTIMIZER = "optimizer."


Buffer = bytes | bytearray


@dataclass(frozen=True)
class PackedState:
    """A state as it travels and rests: the bytes of one safetensors file."""

    data: Buffer
    step: int
    """Steps done since the start of the run."""

    @classmethod
    def read(cls, data: Buffer) -> PackedState:
        """The state in these bytes.

        Raises:
            ValueError: they are not a state.
        """
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            return cls(data, int(header["__metadata__"]["step"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("not a training state") from error

    def network(self) -> dict[str, NDArray[Any]]:
        """The network's tensors by name."""
        tensors = safetensors.numpy.load(bytes(self.data))
        return {name.removeprefix(NETWORK): array for name, array in tensors.items() if name.startswith(NETWORK)}

    def unpack(self) -> TrainingState:
        """The live state, bit for bit."""
        tensors = safetensors.torch.load(bytes(self.data))
        return TrainingState(
            network={name.removeprefix(NETWORK): t for name, t in tensors.items() if name.startswith(NETWORK)},
            optimizer={name.removeprefix(OPTIMIZER): t for name, t in tensors.items() if name.startswith(OPTIMIZER)},
            step=self.step,
        )


@dataclass(frozen=True)
class TrainingState:
    """Weights and batch-norm statistics, optimizer moments, and how many steps made them."""

    network: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    step: int
    """Steps done since the start of the run."""

    def pack(self) -> PackedState:
        """As bytes; tensors keep their values, not their memory format."""
        tensors = {NETWORK + name: tensor for name, tensor in self.network.items()}
        tensors |= {OPTIMIZER + name: tensor for name, tensor in self.optimizer.items()}
        return PackedState(safetensors.torch.save(dict(_apart(tensors)), {"step": str(self.step)}), self.step)


def _apart(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Each in memory of its own, as safetensors asks: layers of a user's module can share their weights."""
    seen = set()
    for name, tensor in tensors.items():
        contiguous = tensor.cpu().contiguous()
        place = contiguous.untyped_storage().data_ptr()
        yield name, contiguous.clone() if place in seen else contiguous
        seen.add(place)


def capture(network: nn.Module, optimizer: torch.optim.Optimizer, *, step: int) -> TrainingState:
    """The state of a live network and its optimizer, sharing their memory."""
    return TrainingState(
        network=network.state_dict(), optimizer=optimizer_state(optimizer, list(network.named_parameters())), step=step
    )


def restore(state: TrainingState, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a state into a live network and its optimizer."""
    network.load_state_dict(dict(state.network))
    load_optimizer_state(optimizer, list(network.named_parameters()), state.optimizer)
