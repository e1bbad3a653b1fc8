"""An executor keeps no more than it may, and on the disk that has most room."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from radspark.training.cache import ShardCache, ShardName
from radspark.training.memory import find_memories
from radspark.training.room import Free, NoRoomError, Room, free_in_memory, free_on_disk, make_folders

SHARD = ShardName("train", 0, 2)
OTHER = ShardName("train", 1, 2)
SAMPLE_BYTES = 1000 * 1000 + 2 * 4 + 8


def cache(room: Room, part: str = "") -> ShardCache:
    return ShardCache(room, image_size=1000, num_findings=2, part=part)


def disks(tmp_path: Path, **free: int) -> Room:
    """Of pretended disks, each with a folder of the run."""
    names = list(free)
    return Room(
        make_folders(tmp_path / name for name in names),
        free=lambda folder: Free(names.index(folder.name), free[folder.name]),
    )


def part_of(room: Room, *, shared: bool) -> AbstractContextManager[str]:
    return nullcontext("") if shared else room.private()


def kill_within(block: AbstractContextManager[object]) -> None:
    """A process that is inside the block is killed there."""
    entered, tell = os.pipe()
    if (process := os.fork()) == 0:
        try:
            with block:
                os.write(tell, b".")
                signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(entered, 1)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(entered)


@pytest.mark.parametrize("shared", [True, False])
def test_what_other_workers_of_the_executor_keep_counts(tmp_path: Path, shared: bool) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]), limit_bytes=10 * SAMPLE_BYTES)
    with part_of(room, shared=shared) as part, room.private() as other, cache(room, other).new({SHARD: 6}):
        with pytest.raises(NoRoomError, match=r"would keep 0.011 GB, and training.cache_gb is 0.010; raise it"):
            cache(room, part).fill({OTHER: 5}, [])
        with cache(room, part).new({OTHER: 4}):
            pass


def test_nothing_is_written_of_what_does_not_fit(tmp_path: Path) -> None:
    room = disks(tmp_path, a=8 * SAMPLE_BYTES)
    with pytest.raises(NoRoomError, match=r"need 0.009 GB, and Spark's local directory .* has 0.008 GB free"):
        cache(room).fill({SHARD: 4, OTHER: 5}, [])
    assert not any((tmp_path / "a").glob("[!.]*"))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((7,), r"need 0.007 GB, in parts of up to 0.007 GB that lie on one disk each, and .* 0.006 \+ 0.005 GB free"),
        ((5, 3, 3), r"need 0.011 GB, in parts of up to 0.005 GB .*, raise training.num_shards for smaller parts, add"),
        ((6, 6), r"need 0.012 GB, and Spark's local directory .* has 0.006 \+ 0.005 GB free.* larger disk, add exec"),
    ],
    ids=["one part", "parts", "all together"],
)
def test_what_fits_no_disk_is_told_with_its_parts(tmp_path: Path, sizes: tuple[int, ...], said: str) -> None:
    room = disks(tmp_path, a=5 * SAMPLE_BYTES, b=6 * SAMPLE_BYTES, c=0)
    with pytest.raises(NoRoomError, match=said):
        cache(room).fill({ShardName("train", number, 3): size for number, size in enumerate(sizes)}, [])


def test_workers_that_come_at_once_do_not_take_the_same_room(tmp_path: Path) -> None:
    def free(folder: Path) -> Free:
        time.sleep(0.02)
        return free_on_disk(folder)

    room = Room(make_folders([tmp_path]), 4 * SAMPLE_BYTES, free)
    all_tried = threading.Barrier(8)
    outcomes = []

    def work(shard: int) -> None:
        try:
            with cache(room).new({ShardName("train", shard, 8): 1}):
                outcomes.append("kept")
                all_tried.wait(10)
        except NoRoomError:
            outcomes.append("refused")
            all_tried.wait(10)

    workers = [threading.Thread(target=work, args=[shard]) for shard in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(outcomes) == ["kept"] * 4 + ["refused"] * 4


def test_shards_lie_on_the_roomiest_disk_and_are_found_there(tmp_path: Path) -> None:
    room = disks(tmp_path, a=3 * SAMPLE_BYTES, b=9 * SAMPLE_BYTES)
    with cache(room).new({OTHER: 2, SHARD: 8}):
        pass
    assert (tmp_path / "b" / SHARD.folder).is_dir()
    assert (tmp_path / "a" / OTHER.folder).is_dir()
    assert [len(cache(room).open(name, size)) for name, size in ((SHARD, 8), (OTHER, 2))] == [8, 2]


def test_a_disk_that_others_have_filled_is_passed_over(tmp_path: Path) -> None:
    room = disks(tmp_path, a=-SAMPLE_BYTES, b=9 * SAMPLE_BYTES)
    with cache(room).new({SHARD: 8}):
        pass
    assert (tmp_path / "b" / SHARD.folder).is_dir()


def test_what_is_there_stays_when_others_fill_the_disk(tmp_path: Path) -> None:
    with cache(Room(make_folders([tmp_path / "a"]))).new({SHARD: 2}):
        pass
    full = Room(make_folders([tmp_path / "a"]), limit_bytes=SAMPLE_BYTES, free=lambda _: Free(0, -1))
    cache(full).fill({SHARD: 2}, [])
    assert cache(full).holds(SHARD)


def test_two_folders_on_one_disk_have_its_room_once(tmp_path: Path) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]), free=lambda _: Free(7, 8 * SAMPLE_BYTES))
    with pytest.raises(NoRoomError, match=r"has 0.008 GB free"):
        cache(room).fill({SHARD: 5, OTHER: 5}, [])


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_not_kept_goes_with_its_room(tmp_path: Path, shared: bool) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]), limit_bytes=10 * SAMPLE_BYTES)
    with part_of(room, shared=shared) as part:
        with cache(room, part).new({SHARD: 6, OTHER: 4}):
            pass
        cache(room, part).keep([SHARD])
        with cache(room, part).new({ShardName("validation", 0, 2): 4}):
            pass
        assert cache(room, part).holds(SHARD)
        assert not cache(room, part).holds(OTHER)


def test_samples_that_are_sent_anew_take_the_place_of_those_before(tmp_path: Path) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]), limit_bytes=5 * SAMPLE_BYTES)
    before, after = cache(room, "00001"), cache(room, "00002")
    for sent, name in ((before, SHARD), (after, OTHER), (after, ShardName("validation", 0, 2))):
        sent.supersede()
        with sent.new({name: 4 if name == SHARD else 2}):
            pass
    before.supersede()
    assert (before.holds(SHARD), after.holds(OTHER)) == (False, True)


def test_who_takes_room_while_another_removes_waits_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(make_folders([tmp_path / "a"]), limit_bytes=10 * SAMPLE_BYTES)
    with cache(room).new({SHARD: 8}):
        pass
    removing, remove = threading.Event(), shutil.rmtree

    def remove_slowly(*folder: Path, **choices: bool) -> None:
        removing.set()
        time.sleep(0.2)
        remove(*folder, **choices)

    monkeypatch.setattr(shutil, "rmtree", remove_slowly)
    other = threading.Thread(target=cache(room).keep, args=[[]])
    other.start()
    assert removing.wait(10)
    with cache(room).new({OTHER: 8}):
        pass
    other.join()
    assert cache(room).holds(OTHER)


def test_what_a_killed_worker_was_writing_goes(tmp_path: Path) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]), limit_bytes=5 * SAMPLE_BYTES)
    kill_within(cache(room).new({SHARD: 4}))
    with cache(room).new({SHARD: 4}):
        pass
    assert cache(room).holds(SHARD)


def test_a_killed_workers_own_samples_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    room = Room(make_folders([tmp_path / "a", tmp_path / "b"]))
    kill_within(room.private())
    with room.private() as first, room.private() as second:
        assert {path.name for path in tmp_path.glob("*/.private-*")} == {first, second}
    assert not any(tmp_path.glob("*/.private-*"))


def test_a_gigabyte_of_the_disk_and_of_the_memory_is_spared(tmp_path: Path) -> None:
    disk = shutil.disk_usage(tmp_path)
    on_disk = disk.free - min(10**9, disk.total // 10)
    in_memory = min(memory.available - min(10**9, memory.total // 10) for memory in find_memories())
    assert free_on_disk(tmp_path).bytes == pytest.approx(on_disk, abs=3e8)
    assert free_in_memory(tmp_path).bytes == pytest.approx(min(disk.free, in_memory), abs=3e8)


def test_a_disk_that_fails_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    read_only = Path("/proc/self")
    assert make_folders([tmp_path / "file" / "a", read_only, tmp_path / "b"]) == (tmp_path / "b",)
    assert {record.args[0] for record in caplog.records} == {tmp_path / "file" / "a", read_only}  # type: ignore[index]
    with pytest.raises(NoRoomError, match=r"nothing can be written .* \(Not a directory\); mend"):
        make_folders([tmp_path / "file" / "a"])
