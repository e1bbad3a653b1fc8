"""What a killed process left is removed by the next; what a living one owns stays."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from radspark.frames.leftovers import claim_folder


def test_a_dead_owners_folder_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        theirs = claim_folder(tmp_path / "base", psutil.Process(other.pid))
        (theirs / "pixels").touch()
        own = claim_folder(tmp_path / "base", psutil.Process())
        assert (theirs / "pixels").exists()
        other.kill()
    assert claim_folder(tmp_path / "base", psutil.Process()) == own
    assert list((tmp_path / "base").iterdir()) == [own]


def test_a_number_that_was_used_again_is_another_process(tmp_path: Path) -> None:
    stale = tmp_path / "base" / f"{os.getpid()}-1.00"
    stale.mkdir(parents=True)
    claim_folder(tmp_path / "base", psutil.Process())
    assert not stale.exists()


def test_folders_are_the_owners_alone(tmp_path: Path) -> None:
    own = claim_folder(tmp_path / "base", psutil.Process())
    assert {own.stat().st_mode & 0o777, own.parent.stat().st_mode & 0o777} == {0o700}


def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to another user"):
        claim_folder(tmp_path / "base", psutil.Process())
