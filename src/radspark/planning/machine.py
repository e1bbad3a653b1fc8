"""Speeds of a machine that a plan is worked out with: the reference machine's, or measured ones kept in a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from radspark.errors import DataError
from radspark.planning.description import GB, Workload
from radspark.settings import from_dict

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Machine:
    """Speeds of one worker while its neighbors work too; giga is 10^9."""

    kernel_gflops: float
    """Convolutions larger than 1 x 1."""
    matrix_gflops: float
    """1 x 1 convolutions and matrix products."""
    grouped_gflops: float
    """Convolutions in groups."""
    moving_gbytes: float
    """Bytes that operators read and write, per second."""
    update_gbytes: float
    """Bytes that an optimizer reads and writes, per second."""
    loopback_gbytes: float
    """Bytes that a worker sends to others of its host, per second."""
    jitter: float
    """Standard deviation of a step's computing time, of its mean."""
    workers: int
    """That worked side by side when this was measured."""
    device: str
    """cpu or cuda."""
    measured: str
    """Where and when."""

    def image_seconds(self, load: Workload) -> float:
        """Forward and backward of one image by one worker: each kind of work at its own speed, one after another."""
        return (
            load.kernel_flops / self.kernel_gflops
            + load.matrix_flops / self.matrix_gflops
            + load.grouped_flops / self.grouped_gflops
            + load.moved_bytes / self.moving_gbytes
        ) / GB


def save_machine(machine: Machine, file: Path) -> None:
    """Write the figures, and the folder that they go to."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **asdict(machine)}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def load_machine(file: Path) -> Machine:
    """Read what `save_machine` wrote.

    Raises:
        DataError: it is missing, of another version, or no such file.
        ArgumentError: a figure is missing or of a wrong type.
    """
    try:
        values = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{file} does not hold a machine's figures ({error}); measure anew with --calibrate."
        ) from error
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise DataError(
            f"{file} has format_version {version}, this radspark reads {FORMAT_VERSION}; measure anew with --calibrate."
        )
    return from_dict(Machine, values, where=file.name)


REFERENCE = Machine(
    kernel_gflops=133.0,
    matrix_gflops=178.0,
    grouped_gflops=9.0,
    moving_gbytes=11.2,
    update_gbytes=8.0,
    loopback_gbytes=0.7,
    jitter=0.02,
    workers=2,
    device="cpu",
    measured="reference: a core of a Xeon with AVX-512, 2026-11-22",
)
"""For plans without a measurement. The four speeds of computing are fitted to the processor time of networks
(docs/plan.md); jitter, loopback and the speed of the update are assumed."""
