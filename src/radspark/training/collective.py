"""How the workers of a round add up their gradients: a torch.distributed group with the life of a `with` block.

Tensors in the processor's memory go by gloo, those on GPUs by NCCL.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import psutil
import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

_DIST = Path(dist.__file__).parent

INTERFACES = {"GLOO_SOCKET_IFNAME": "{}", "NCCL_SOCKET_IFNAME": "={}"}
"""Variables that name the interface of an exchange, and how: to NCCL a bare name is the beginning of one."""
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""Of torch.distributed, by the kind of device that gradients lie on."""


class Group(Protocol):
    """The workers of a round, as a step sees them."""

    rank: int
    size: int
    hosts: Sequence[str]
    """Of each rank."""

    def sum_(self, tensor: torch.Tensor) -> None:
        """Replace the tensor by its sum over all workers."""
        ...

    def swap(self, parts: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Send an equal part of a vector to each worker; what all of them sent to this one, end to end.

        Args:
            lengths: elements that come from each worker.
        """
        ...

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        """The equal parts of all workers, end to end."""
        ...

    def part(self, ranks: Sequence[int]) -> Group:
        """A smaller group, made by its members at the same time."""
        ...

    def broadcast(self, data: bytes | bytearray | None) -> bytes | bytearray:
        """Rank 0's bytes, on every worker; the others pass None."""
        ...

    def send(self, tensor: torch.Tensor, target: int) -> None:
        """Give a tensor to one worker, which receives it."""
        ...

    def receive_(self, tensor: torch.Tensor, source: int) -> None:
        """Fill a tensor with what one worker sends."""
        ...


class SingleWorker:
    """A group of one: nothing to add up."""

    rank = 0
    size = 1
    hosts: Sequence[str] = ("",)

    def sum_(self, tensor: torch.Tensor) -> None:
        """Leave the tensor as it is."""

    def swap(self, parts: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """The vector itself."""
        return parts

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        """The part is all."""
        return part

    def part(self, ranks: Sequence[int]) -> Group:
        """There is none smaller."""
        return self

    def broadcast(self, data: bytes | bytearray | None) -> bytes | bytearray:
        """The bytes themselves."""
        assert data is not None
        return data

    def send(self, tensor: torch.Tensor, target: int) -> None:
        """There is nobody to give anything to."""
        raise ValueError("a group of one has no other worker")

    def receive_(self, tensor: torch.Tensor, source: int) -> None:
        """There is nobody to get anything from."""
        raise ValueError("a group of one has no other worker")


class ProcessGroup:
    """Workers joined by torch.distributed."""

    def __init__(
        self,
        rank: int,
        hosts: Sequence[str],
        *,
        backend: str,
        timeout: timedelta,
        handle: dist.ProcessGroup | None = None,
    ) -> None:
        self.rank = rank
        self.size = len(hosts)
        self.hosts = hosts
        self._backend = backend
        self._timeout = timeout
        self._handle = handle

    def sum_(self, tensor: torch.Tensor) -> None:
        """All-reduce in place; every worker gets the same bits."""
        dist.all_reduce(tensor, group=self._handle)

    def swap(self, parts: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """All-to-all."""
        received = parts.new_empty(sum(lengths))
        sent = [parts.numel() // self.size] * self.size
        dist.all_to_all_single(received, parts, list(lengths), sent, group=self._handle)
        return received

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        """All-gather."""
        gathered = part.new_empty(self.size * part.numel())
        dist.all_gather(list(gathered.chunk(self.size)), part, group=self._handle)
        return gathered

    def part(self, ranks: Sequence[int]) -> Group:
        """A group of its own, with connections of its own."""
        # Where it is not told, torch takes half an hour.
        handle = dist.new_group(list(ranks), self._timeout, self._backend, use_local_synchronization=True)
        rank, hosts = list(ranks).index(self.rank), [self.hosts[rank] for rank in ranks]
        return ProcessGroup(rank, hosts, backend=self._backend, timeout=self._timeout, handle=handle)

    def broadcast(self, data: bytes | bytearray | None) -> bytes | bytearray:
        """First the length, then the bytes."""
        length = torch.tensor([0 if data is None else len(data)])
        dist.broadcast(length, 0)
        received = bytearray(int(length)) if data is None else bytearray(data)
        dist.broadcast(torch.frombuffer(received, dtype=torch.uint8), 0)
        return received

    def send(self, tensor: torch.Tensor, target: int) -> None:
        """Blocks until the other worker takes it."""
        dist.send(tensor, target)

    def receive_(self, tensor: torch.Tensor, source: int) -> None:
        """Blocks until it is here."""
        dist.recv(tensor, source)


def open_store(address: str, *, timeout_seconds: float) -> TCPStore:
    """Where workers would meet if this one became rank 0: listens on a free port, `store.port`."""
    return TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout_seconds))


def reach_store(address: str, port: int, *, timeout_seconds: float) -> TCPStore:
    """Rank 0's store, as the others reach it."""
    return TCPStore(address, port, is_master=False, timeout=timedelta(seconds=timeout_seconds))


@contextmanager
def join_group(
    store: TCPStore, *, rank: int, hosts: Sequence[str], timeout_seconds: float, device: str = "cpu"
) -> Iterator[Group]:
    """Join the workers of a round into one group; leave it on exit, also after an error.

    Args:
        store: rank 0's.
        hosts: where each rank can be reached; the interface of this one's address carries the exchange.
        timeout_seconds: longest wait for another worker in an exchange; a closed connection is noticed at once.
        device: kind of those that gradients lie on, cpu or cuda.
    """
    if len(hosts) == 1:
        yield SingleWorker()
        return
    timeout = timedelta(seconds=timeout_seconds)
    with _bound_to(interface_of(hosts[rank])):
        backend = BACKENDS[device]
        dist.init_process_group(backend, store=store, rank=rank, world_size=len(hosts), timeout=timeout)
        try:
            yield ProcessGroup(rank, hosts, backend=backend, timeout=timeout)
        finally:
            dist.destroy_process_group()


@contextmanager
def _bound_to(interface: str | None) -> Iterator[None]:
    """Have the groups that are made inside the block, smaller ones as well, use an interface."""
    before = {name: os.environ[name] for name in INTERFACES if name in os.environ}
    if interface is not None:
        os.environ.update({name: form.format(interface) for name, form in INTERFACES.items()})
    try:
        yield
    finally:
        for name in INTERFACES:
            os.environ.pop(name, None)
        os.environ.update(before)


def is_from_exchange(error: BaseException) -> bool:
    """Whether an exchange failed because another worker went away: raised by torch.distributed, not through it."""
    if isinstance(error, dist.DistError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, RuntimeError) and bool(frames) and Path(frames[-1].filename).is_relative_to(_DIST)


def interface_of(address: str) -> str | None:
    """Name of the local interface that holds the address; None for a host name."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(item.address == address for item in addresses):
            return name
    return None
