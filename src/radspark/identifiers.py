"""What names a patient, kept, replaced by a keyed hash, or dropped; and where the key of the hash lives.

Two runs with one key give one patient the same hash, so their tables can be joined; without the key nobody can tell
whose it is.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from radspark.errors import ArgumentError, SetupError

Policy = Literal["drop", "hash", "keep"]
POLICIES: tuple[Policy, ...] = ("drop", "hash", "keep")
KEY_VARIABLE = "RADSPARK_IDENTIFIER_KEY"
"""Environment variable with the key in hexadecimal; it wins over the file."""
KEY_BYTES = 32
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Identifiers:
    """What becomes of a patient's number and of all else that names a patient. Calling it replaces one value."""

    policy: Policy = "drop"
    key: bytes = field(default=b"", repr=False)
    """Of the hash; not shown."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ArgumentError(f"identifiers must be one of {', '.join(POLICIES)}, got {self.policy!r}.")
        if self.policy == "hash" and not 16 <= len(self.key) <= 64:
            raise ArgumentError(f"the key of identifiers must have 16 to 64 bytes, got {len(self.key)}.")

    def __call__(self, value: str | None) -> str | None:
        """The value as the policy lets it pass: itself, 32 hexadecimal digits (keyed BLAKE2b), or None."""
        if value is None or self.policy == "drop":
            return None
        if self.policy == "keep":
            return value
        return hashlib.blake2b(value.encode(), digest_size=_DIGEST_BYTES, key=self.key).hexdigest()

    @property
    def key_check(self) -> str:
        """Tells two keys apart and nothing of them; empty where nothing is hashed."""
        return str(self("radspark")) if self.policy == "hash" else ""


def get_identifiers(policy: str) -> Identifiers:
    """The policy with its key, which is made on its first use.

    Raises:
        ArgumentError: an unknown policy, or a key in the environment that is none.
        SetupError: the file of the key cannot be read or written.
    """
    return Identifiers(cast("Policy", policy), load_key() if policy == "hash" else b"")


def load_key(environment: Mapping[str, str] = os.environ) -> bytes:
    """The key from the environment, else from the user's file, which is written (mode 0600) where it is missing.

    Raises:
        ArgumentError: the environment variable is not hexadecimal of 16 to 64 bytes.
        SetupError: the file cannot be read or written, or holds no key.
    """
    if KEY_VARIABLE in environment:
        return _parse(environment[KEY_VARIABLE], where=KEY_VARIABLE)
    file = key_file(environment)
    try:
        if not file.exists():
            _write_key(file)
        return _parse(file.read_text(encoding="ascii"), where=str(file))
    except OSError as error:
        raise SetupError(
            f"the key for hashing patients' identifiers cannot be kept in {file} ({error.strerror}); "
            f"set {KEY_VARIABLE} to 64 hexadecimal digits."
        ) from error
    except ArgumentError as error:
        raise SetupError(f"{error} Remove the file for a new key, or bring back the old one.") from error


def key_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the key lives: `radspark/identifier.key` in the user's configuration folder."""
    configuration = environment.get("XDG_CONFIG_HOME")
    folder = Path(configuration) if configuration else Path.home() / ".config"
    return folder / "radspark" / "identifier.key"


def _write_key(file: Path) -> None:
    """Write a new key, unless another process was faster: whoever comes second finds the first one's key whole."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_hex(KEY_BYTES) + "\n", encoding="ascii")
    try:
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _parse(text: str, *, where: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if not 16 <= len(key) <= 64:
        raise ArgumentError(f"{where} must hold a key of 32 to 128 hexadecimal digits.")
    return key
