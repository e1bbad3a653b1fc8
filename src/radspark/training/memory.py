"""How much memory there is for this process: of the machine, and of the containers that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil


class Memory(NamedTuple):
    """Bytes that somebody has for all processes in it."""

    total: int
    available: int
    """Free, or taken by the page cache, which gives way."""


@dataclass(frozen=True)
class _Version:
    """Names in the kernel's two ways to limit a container (control groups)."""

    controller: str
    """In the second column of /proc/self/cgroup."""
    mount: str
    limit: str
    usage: str
    cache: tuple[str, str]
    """Lines of memory.stat; shared memory is not in them."""


_VERSIONS = (
    _Version("", "sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    _Version(
        "memory",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


def find_memories(root: Path = Path("/")) -> Iterator[Memory]:
    """The machine's, and that of each limited container around this process that it can see.

    Args:
        root: of the file system in which the kernel tells of them.
    """
    machine = psutil.virtual_memory()
    yield Memory(machine.total, machine.available)
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        own = Path(path.strip("/"))
        for version in _VERSIONS:
            if version.controller in controllers.split(","):
                found = (_read(root / version.mount / group, version) for group in (own, *own.parents))
                yield from (memory for memory in found if memory is not None)


def _read(group: Path, version: _Version) -> Memory | None:
    """What a group has left; None without a limit, or where it cannot be seen from inside."""
    try:
        limit, usage = ((group / name).read_text() for name in (version.limit, version.usage))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if limit.strip() == "max":
        return None
    return Memory(int(limit), int(limit) - int(usage) + sum(int(stat[name]) for name in version.cache))
