"""Real processes joined by gloo: sums with the bits of one process, and what tells a lost worker from a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from socket import AF_INET
from typing import Any

import psutil
import pytest
import torch

from radspark.training.collective import ProcessGroup, is_from_exchange, reach_store


def start(script: str, *arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name(script)), json.dumps(arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def results(hosts: list[str], num_shards: int = 6, device: str = "cpu") -> list[Any]:
    """What each process ended with."""
    first = start("sum_script.py", 0, hosts, num_shards, 0, device)
    assert first.stdout is not None
    port = int(first.stdout.readline())
    others = (start("sum_script.py", rank, hosts, num_shards, port, device) for rank in range(1, len(hosts)))
    processes = [first, *others]
    said = []
    for process in processes:
        with process:
            assert process.stdout is not None
            said.append(json.loads(process.stdout.read()))
    return said


@pytest.fixture(scope="module")
def alone() -> Any:
    return results(["127.0.0.1"])[0]


def r(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.bfloat16).float()


def other_address() -> str:
    """This machine's on a network, where it has one, so that two interfaces are at play."""
    addresses = [item.address for items in psutil.net_if_addrs().values() for item in items if item.family == AF_INET]
    return next((address for address in addresses if not address.startswith("127.")), "127.0.0.2")


OTHER = other_address()
A, B, C, D, E, F = (
    torch.randn(120, generator=torch.Generator().manual_seed(shard)) * 10.0**shard for shard in range(6)
)
"""The gradients of sum_script.py."""


@pytest.mark.parametrize(
    ("hosts", "rounded"),
    [
        (["127.0.0.1"] * 2, r((r(A + B) + (r(C) + r(D))) + r(E + F))),
        ([OTHER] * 2 + ["127.0.0.1"] * 2, r((r(r(A) + r(B)) + (r(C) + r(D))) + r(E + F))),
        (["127.0.0.1"] * 2 + ["127.0.0.2"], r((r(A + B) + r(C + D)) + r(E + F))),
    ],
    ids=["one host", "two hosts", "uneven hosts"],
)
def test_processes_add_up_to_the_bits_of_one_or_as_bfloat16_to_those_of_each_other(
    alone: Any, hosts: list[str], rounded: torch.Tensor
) -> None:
    said = results(hosts)
    assert [one[:3] for one in said] == [[*alone[:2], rounded.tolist()]] * len(hosts)
    for host, (*_, listening) in zip(hosts, said, strict=True):
        assert listening == [host] or host == "127.0.0.2", "all groups, smaller ones as well, keep to the interface"


def test_a_smaller_group_waits_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.distributed, "new_group", lambda *given, **_: asked.append(given))
    ProcessGroup(2, ["a", "a", "b", "b"], backend="gloo", timeout=timedelta(days=1)).part([2, 3])
    assert asked == [([2, 3], timedelta(days=1), "gloo")]


def test_a_users_own_error_is_not_a_lost_worker(tmp_path: Any) -> None:
    file = tmp_path / "distributed" / "mine.py"
    file.parent.mkdir()
    file.write_text("raise RuntimeError('mine')")
    with pytest.raises(RuntimeError) as caught:
        exec(compile(file.read_text(), str(file), "exec"))
    assert not is_from_exchange(caught.value)


def test_an_exchange_without_the_others_is_a_lost_worker() -> None:
    with pytest.raises(torch.distributed.DistError) as caught:
        reach_store("127.0.0.1", 1, timeout_seconds=0.1)
    assert is_from_exchange(caught.value)


@pytest.mark.timeout(60)
def test_a_worker_that_is_killed_in_its_backward_pass_is_lost_at_once_to_the_other() -> None:
    with start("round_script.py", 0, 0) as survivor:
        assert survivor.stdout is not None
        with start("round_script.py", 1, int(survivor.stdout.readline())):
            done, is_lost = json.loads(survivor.stdout.read())
    assert (done, is_lost) == (1, True)
