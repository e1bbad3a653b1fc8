"""What a worker trains on: whether this Spark has GPUs to grant, and the device of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark import TaskContext
from pyspark.sql import SparkSession

from radspark.errors import SetupError
from radspark.frames.session import is_connect, is_embedded
from radspark.settings import Device

if TYPE_CHECKING:
    import torch

GPU = "gpu"
"""Spark's name of the resource."""
AMOUNT = f"spark.executor.resource.{GPU}.amount"


def check_device(spark: SparkSession, device: Device) -> None:
    """Refuse GPUs where there are none to grant.

    Raises:
        SetupError: this machine has none that torch can use; or Spark's executors were not asked for any.
    """
    if device == "cpu":
        return
    if is_connect(spark):
        raise SetupError("training.device cuda is not for Spark Connect, which does not tell GPUs; take device cpu.")
    if is_embedded(spark):
        if not count_devices():
            raise SetupError(
                "training.device cuda needs a GPU, and torch finds none on this machine; install torch for CUDA "
                "(python -c 'import torch; print(torch.cuda.is_available())' tells), or take device cpu."
            )
    elif spark.sparkContext.getConf().get(AMOUNT, "0") == "0":
        raise SetupError(
            f"training.device cuda needs executors with GPUs; give --conf {AMOUNT}=1 and what your cluster needs to "
            "find them, or take device cpu."
        )


def count_devices() -> int:
    """GPUs of this machine that torch can use."""
    import torch

    return torch.cuda.device_count()


def take_device(device: Device, context: TaskContext) -> torch.device:
    """The device of this task; from here on it is also what a user's module means by `cuda`.

    Raises:
        SetupError: torch cannot use the GPU that Spark granted.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    granted = context.resources().get(GPU)
    # An embedded Spark grants none: its tasks are on one machine, and take the GPU of their number.
    address = granted.addresses[0] if granted is not None else str(context.partitionId())
    taken = device_at(address, num_devices=count_devices())
    torch.cuda.set_device(taken)
    return taken


def device_at(address: str, *, num_devices: int) -> torch.device:
    """The GPU at an address.

    Args:
        address: as Spark's discovery names it: its number on the machine.
        num_devices: GPUs that torch can use.

    Raises:
        SetupError: it is not one of them.
    """
    import torch

    if not address.isdecimal() or int(address) >= num_devices:
        raise SetupError(
            f"training.device cuda: a worker was granted GPU {address}, and torch finds {num_devices} on its machine; "
            "look at its driver, its torch (a build for CUDA?) and CUDA_VISIBLE_DEVICES there, or take device cpu."
        )
    return torch.device("cuda", int(address))


def give_back_memory(device: Device) -> None:
    """Let go of what torch keeps of a GPU's memory for this process: the next round may run in another one."""
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
