"""The memory of a process is that of the narrowest container around it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from radspark.training.memory import Memory, find_memories

GB = 10**9


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("memory_", "memory.")).write_text(text + "\n")


def test_a_pod_has_its_limit_less_what_is_taken_and_does_not_give_way(tmp_path: Path) -> None:
    write(tmp_path / "proc/self", cgroup="0::/")
    stat = f"anon {5 * GB}\nshmem {GB}\ninactive_file {GB}\nactive_file {GB // 2}"
    write(tmp_path / "sys/fs/cgroup", memory_max=str(8 * GB), memory_current=str(7 * GB), memory_stat=stat)
    machine, pod = find_memories(tmp_path)
    assert machine.total == psutil.virtual_memory().total
    assert pod == Memory(8 * GB, 5 * GB // 2)


def test_a_yarn_container_is_seen_with_those_around_it(tmp_path: Path) -> None:
    write(tmp_path / "proc/self", cgroup="12:cpu:/yarn/c1\n4:hugetlb,memory:/yarn/c1\n0::/")
    stat = f"cache {GB}\ntotal_inactive_file {GB}\ntotal_active_file 0"
    for group, limit in (("", 2**63 - 4096), ("yarn", 20 * GB), ("yarn/c1", 4 * GB)):
        files = {"memory_limit_in_bytes": str(limit), "memory_usage_in_bytes": str(3 * GB), "memory_stat": stat}
        write(tmp_path / "sys/fs/cgroup/memory" / group, **files)
    _, *containers = find_memories(tmp_path)
    assert containers[:2] == [Memory(4 * GB, 2 * GB), Memory(20 * GB, 18 * GB)]
    assert len(containers) == 3


@pytest.mark.parametrize("limit", ["max", None])
def test_a_process_without_a_limit_has_the_machines(tmp_path: Path, limit: str | None) -> None:
    write(tmp_path / "proc/self", cgroup="0::/user.slice/session-1.scope")
    if limit:
        write(tmp_path / "sys/fs/cgroup/user.slice", memory_max=limit, memory_current="1", memory_stat="anon 1")
    assert len(list(find_memories(tmp_path))) == 1


def test_the_files_of_this_kernel_are_understood() -> None:
    assert all(0 < memory.available <= memory.total for memory in find_memories())
