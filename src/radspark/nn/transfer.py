"""The way of an array from the processor's memory to the device that computes."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

CPU = torch.device("cpu")


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """The array as a tensor on the device; on a processor it shares the array's memory.

    To a GPU it goes by page-locked memory: from other memory, this thread would wait for all that the GPU has to do.
    """
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
