"""A machine among several: what its keys, and whom it deals with, are in is a directory of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.client import credentials
from charrepl.system import paths


class Machine:
    """Somewhere with keys of its own."""

    def __init__(self, directory: Path) -> None:
        self.config = directory

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Makes this process run on it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHARREPL_CONFIG_DIR", str(self.config))
            yield

    def _run(self, command: list[str], **options) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CHARREPL_CONFIG_DIR": str(self.config)}
        return subprocess.run(
            [sys.executable, *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    def daemon(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return self._run(["-m", "charrepl_daemon", *arguments], **options)

    def charrepl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(["-c", "from charrepl.cli.main import main; main()", *arguments])

    @property
    def key(self) -> str:
        with self.here():
            return credentials.encoded(credentials.own().public)

    def make_key(self) -> str:
        with self.here():
            paths.private_dir(paths.keys_dir())
            credentials.write_secret(credentials.secret_file(), credentials.generate())
        return self.key

    def trust(self, endpoint: str, key: str) -> None:
        with self.here():
            paths.private_dir(paths.keys_dir())
            paths.private_dir(credentials.trusted_dir())
            credentials.write(credentials.trusted_file(endpoint), key, about="a test's", replace=True)

    def allow(self, name: str, key: str) -> Path:
        with self.here():
            paths.private_dir(paths.keys_dir())
            paths.private_dir(credentials.allowed_dir())
            credentials.write(credentials.allowed_file(name), key, about="a test's", replace=True)
            return credentials.allowed_file(name)


def one_line(text: str) -> str:
    assert text.startswith("Error: ")
    assert text.count("\n") == 1
    return text.removeprefix("Error: ").rstrip("\n")
