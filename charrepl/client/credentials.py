"""Keys: this machine's own pair, the daemons that it trusts and the machines that it allows.

$CONFIG/keys/secret.key             this machine's secret key; its public half is computed from it
$CONFIG/keys/trusted/HOST:PORT.key  the public key that the daemon at an address must have
$CONFIG/keys/allowed/NAME.key       the public key of a machine that may connect; then perhaps `admin`

The keys are CURVE25519's, 32 bytes, written in base64 like WireGuard's. You can use them in a shell without
quotes, unlike the Z85 of ZeroMQ's own files. Lines that begin with `#` are for people.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.system import disk_errors, paths

_KEY_BYTES = 32
_MOST_BYTES = 4096  # of a file
_NAME = re.compile(r"\w[\w.-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two halves of a key, 32 bytes each."""

    public: bytes
    secret: bytes


def secret_file() -> Path:
    """The file of this machine's secret key. It need not exist."""
    return paths.keys_dir() / "secret.key"


def allowed_dir() -> Path:
    """The directory of public keys that may connect, each in NAME.key. It need not exist."""
    return paths.keys_dir() / "allowed"


def allowed_files() -> list[Path]:
    """The files of all keys that may connect, by name. Raises OSError if they cannot be listed."""
    return sorted(allowed_dir().glob("[!.]*.key"))


def allowed_file(name: str) -> Path:
    """The file of one key that may connect. Raises CharreplError if the name is not allowed."""
    if not _NAME.fullmatch(name):
        raise CharreplError(
            f"{name!r} cannot be a name: use letters, digits, '.', '_' and '-', a letter first"
        )
    return allowed_dir() / f"{name}.key"


def trusted_dir() -> Path:
    """The directory of daemons' public keys, each in HOST:PORT.key. It need not exist."""
    return paths.keys_dir() / "trusted"


def trusted_file(endpoint: str) -> Path:
    """The file with the public key of the daemon at a `tcp://` endpoint. It need not exist."""
    return trusted_dir() / f"{endpoint.removeprefix('tcp://').lower()}.key"


def encoded(key: bytes) -> str:
    """A key as people see it: 44 characters of base64."""
    return base64.b64encode(key).decode()


def decoded(text: str) -> bytes:
    """The key that `encoded` wrote. Raises CharreplError if the text is not a key."""
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(text, validate=True)
        if len(key) == _KEY_BYTES and encoded(key) == text:
            return key
    raise CharreplError(
        f"{text[:60]!r} is not a key: expected 44 characters, as charrepl-daemon keygen prints them"
    )


def generate() -> KeyPair:
    """A new pair."""
    import zmq
    from zmq.utils import z85

    public, secret = zmq.curve_keypair()
    return KeyPair(z85.decode(public), z85.decode(secret))


def own() -> KeyPair:
    """The pair of this machine.

    Raises CharreplError with code `no_key` if there is none. Raises CharreplError if the file belongs to
    another user, is open to others, or is damaged.
    """
    path = secret_file()
    paths.check_private(paths.keys_dir())
    text = _read(path, secret=True)
    if text is None:
        raise CharreplError("this machine has no key yet: run charrepl-daemon keygen", code="no_key")
    match _words(text):
        case ["secret", key]:
            with contextlib.suppress(CharreplError):
                return _pair(decoded(key))
    raise CharreplError(
        f"{path} is damaged: restore it, or make a new key with charrepl-daemon keygen --force"
    )


def _pair(secret: bytes) -> KeyPair:
    import zmq
    from zmq.utils import z85

    return KeyPair(z85.decode(zmq.curve_public(z85.encode(secret))), secret)


def trusted(endpoint: str) -> bytes:
    """The public key of the daemon at an endpoint. Raises CharreplError if none is known."""
    path = trusted_file(endpoint)
    text = _read(path)
    remedy = f"run charrepl-daemon trust {endpoint} KEY with the key that charrepl-daemon keys shows there"
    if text is None:
        raise CharreplError(f"the key of the daemon at {endpoint} is not known: {remedy}", code="no_key")
    return _public(path, text, remedy)[0]


def allowed(path: Path) -> tuple[bytes, bool]:
    """The public key in a file of `allowed_dir`, and whether it is an admin's.

    Raises CharreplError if the file is damaged or gone.
    """
    text = _read(path)
    remedy = f"run charrepl-daemon allow {path.stem} KEY --force"
    if text is None:
        raise CharreplError(f"{path} is gone: {remedy}")
    key, words = _public(path, text, remedy)
    if words not in ([], ["admin"]):
        raise CharreplError(f"{path} says {words[0]!r} after the key, where only 'admin' may be: {remedy}")
    return key, bool(words)


def _public(path: Path, text: str, remedy: str) -> tuple[bytes, list[str]]:
    key, *words = _words(text) or [""]
    try:
        return decoded(key), words
    except CharreplError:
        raise CharreplError(f"{path} is damaged: {remedy}") from None


def _words(text: str) -> list[str]:
    """The words of a key file. Empty if it has more than one line that is not a comment."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if len(lines) == 1 else []


def read_secret(path: Path, *, anew: str) -> str | None:
    """The line of a secret file; None if there is no file. `anew` is the command that makes a new one.

    Raises CharreplError if it cannot be read, is not one line, or others can read it.
    """
    text = _read(path, secret=True, anew=anew)
    if text is None:
        return None
    match _words(text):
        case [word]:
            return word
    raise CharreplError(f"{path} is damaged: remove it, and make another with {anew}")


def _read(path: Path, *, secret: bool = False, anew: str = "charrepl-daemon keygen --force") -> str | None:
    """The text of a key file; None if there is no file.

    Raises CharreplError if it cannot be read, or if it is secret and others can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not hold us up
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CharreplError(f"{path} is not a file: remove it")
        if secret and found.st_uid != os.geteuid():
            raise CharreplError(f"{path} belongs to user {found.st_uid}, not to you: make a key of your own")
        mode = stat.S_IMODE(found.st_mode)
        if secret and mode & 0o077:
            raise CharreplError(
                f"{path} is open to other users (mode {mode:04o}): run chmod 600 {path}, or, if one may have "
                f"read it, {anew}"
            )
        return os.read(descriptor, _MOST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def write(path: Path, line: str, *, about: str, replace: bool = False) -> None:
    """Writes a key file completely or not at all. From the first byte, only its owner can read it.

    Raises FileExistsError if the file exists and should not be replaced, and CharreplError if it cannot be
    written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # as O_EXCL and 0600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"# charrepl: {about}\n{line}\n")
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)  # unlike a rename, this fails if the file exists
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        fix = disk_errors.advice(error, "or set CHARREPL_CONFIG_DIR to another place")
        raise CharreplError(f"cannot write {path}: {reason(error)}: {fix}") from None


def write_secret(path: Path, pair: KeyPair, *, replace: bool = False) -> None:
    """Writes a secret key's file, as `write` does."""
    about = f"a secret key, of the public key {encoded(pair.public)}"
    write(path, f"secret {encoded(pair.secret)}", about=about, replace=replace)
