from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radspark.errors import SetupError
from radspark.identifiers import KEY_VARIABLE, Identifiers, key_file, load_key

KEY = b"k" * 32


@given(st.text(max_size=40))
def test_hash_is_keyed_blake2b(value: str) -> None:
    expected = hashlib.blake2b(value.encode(), digest_size=16, key=KEY).hexdigest()
    assert Identifiers("hash", KEY)(value) == expected
    assert Identifiers("hash", b"j" * 32)(value) != expected


def test_keep_and_drop_do_as_they_say() -> None:
    assert [Identifiers(policy)("P-17") for policy in ("keep", "drop")] == ["P-17", None]
    assert Identifiers("hash", KEY)(None) is None


def test_key_is_not_shown() -> None:
    assert "kkk" not in repr(Identifiers("hash", KEY))


def test_unknown_policy_is_named() -> None:
    with pytest.raises(ValueError, match="identifiers must be one of drop, hash, keep, got 'hide'"):
        Identifiers("hide")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="16 to 64 bytes, got 0"):
        Identifiers("hash")


def test_key_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    key = load_key(environment)
    file = key_file(environment)
    assert (len(key), file.stat().st_mode & 0o777) == (32, 0o600)
    assert load_key(environment) == key
    assert [path.name for path in file.parent.iterdir()] == ["identifier.key"]


def test_key_of_the_environment_wins(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), KEY_VARIABLE: KEY.hex()}
    assert load_key(environment) == KEY
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_key_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{KEY_VARIABLE} must hold a key of 32 to 128 hexadecimal digits"):
        load_key({KEY_VARIABLE: "secret"})
    file = key_file({"XDG_CONFIG_HOME": str(tmp_path)})
    file.parent.mkdir()
    file.write_text("secret")
    with pytest.raises(SetupError, match="Remove the file for a new key"):
        load_key({"XDG_CONFIG_HOME": str(tmp_path)})


def test_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "radspark").write_text("a file where the folder should be")
    with pytest.raises(SetupError, match=f"set {KEY_VARIABLE} to 64 hexadecimal digits"):
        load_key({"XDG_CONFIG_HOME": str(tmp_path)})
