"""What the command line says on the screen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from radspark.cli.console import command_name


@pytest.mark.parametrize(
    ("typed", "path", "told"),
    [
        ("/usr/local/bin/radspark", "{bin}", "/usr/local/bin/radspark"),
        ("{bin}/radspark", "{bin}", "radspark"),
        ("{bin}/radspark", "/nowhere", "{bin}/radspark"),
        ("/else where/radspark", "/nowhere", "'/else where/radspark'"),
        ("-c", "/nowhere", "radspark"),
    ],
)
def test_a_command_to_type_is_one_that_the_shell_finds(
    typed: str, path: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "radspark").touch(mode=0o755)
    monkeypatch.setenv("PATH", os.fspath(path.format(bin=tmp_path)))
    monkeypatch.setattr("sys.argv", [typed.format(bin=tmp_path)])
    assert command_name() == told.format(bin=tmp_path)
