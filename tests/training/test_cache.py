"""The local cache gives back what was put in, whatever the order, and counts what is whole."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from radspark.training.cache import SampleBatch, ShardCache, ShardName
from radspark.training.room import Room, make_folders

NAME = ShardName("train", 1, 4)


def batch(indices: list[int]) -> SampleBatch:
    places = np.array(indices)
    return SampleBatch(
        name=NAME,
        indices_B=places,
        images_BSS=np.stack([np.full((8, 8), place, np.uint8) for place in indices]),
        labels_BC=np.stack([[place, np.nan] for place in indices]).astype(np.float32),
        keys_B=places * 10,
    )


def cache(folder: Path) -> ShardCache:
    return ShardCache(Room(make_folders([folder])), image_size=8, num_findings=2)


@contextmanager
def limited_file_size(num_bytes: int) -> Iterator[None]:
    """No file may grow larger: the nearest thing to a full disk that needs no privileges."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_samples_lie_at_their_place_whatever_order_they_came_in(tmp_path: Path) -> None:
    cache(tmp_path / "c").fill({NAME: 4}, [batch([3, 1]), batch([0, 2])])
    shard = cache(tmp_path / "c").open(NAME, 4)
    assert shard.images_NSS[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert shard.keys_N.tolist() == [0, 10, 20, 30]
    np.testing.assert_array_equal(shard.labels_NC, [[0, np.nan], [1, np.nan], [2, np.nan], [3, np.nan]])


def test_a_shard_with_a_sample_missing_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold 4 samples, got 2"):
        cache(tmp_path / "c").fill({NAME: 4}, [batch([3, 1])])
    assert not cache(tmp_path / "c").holds(NAME)


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    cache(tmp_path / "c").fill({NAME: 1}, [batch([0])])
    assert (tmp_path / "c").stat().st_mode & 0o077 == 0
    assert (tmp_path / "c" / NAME.folder).stat().st_mode & 0o077 == 0


def test_an_empty_shard_opens_empty(tmp_path: Path) -> None:
    cache(tmp_path / "c").fill({NAME: 0}, [])
    assert len(cache(tmp_path / "c").open(NAME, 0)) == 0


def test_a_second_fill_that_is_cut_off_leaves_the_first_whole(tmp_path: Path) -> None:
    cache(tmp_path / "c").fill({NAME: 2}, [batch([0, 1])])
    other = ShardName("train", 2, 4)

    def cut_off() -> Iterator[SampleBatch]:
        yield batch([0])
        raise ConnectionError

    with pytest.raises(ConnectionError):
        cache(tmp_path / "c").fill({NAME: 2, other: 2}, cut_off())
    assert cache(tmp_path / "c").open(NAME, 2).images_NSS[:, 0, 0].tolist() == [0, 1]
    assert not cache(tmp_path / "c").holds(other)
    assert [path.name for path in (tmp_path / "c").glob("[!.]*")] == [NAME.folder]


def test_two_workers_of_one_executor_may_write_the_same_shard(tmp_path: Path) -> None:
    with cache(tmp_path / "c").new({NAME: 1}) as mine, cache(tmp_path / "c").new({NAME: 1}) as others:
        mine[NAME].keys_N[0] = others[NAME].keys_N[0] = 7
    assert cache(tmp_path / "c").open(NAME, 1).keys_N.tolist() == [7]


def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left|File too large"), limited_file_size(1 << 20):
        cache(tmp_path / "c").fill({NAME: 1 << 20}, [])
    assert [path.name for path in (tmp_path / "c").iterdir()] == [".lock"]
