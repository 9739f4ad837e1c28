"""Our extension for VS Code with the real vscode-languageclient and server, in Node: `make test-vscode`.

`vscode_host.js` stands in for VS Code itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charrepl.suggestions.keys_saved import KeysSaved
from tests.charrepl.prompt import CHARREPL
from tests.waiting import until

ROOT = Path(__file__).parents[3]
EXTENSION = ROOT / "charrepl" / "lsp" / "vscode"
CLIENT = ROOT / "build" / "vscode-languageclient" / "node_modules"
HOST = Path(__file__).with_name("vscode_host.js")
NODE = shutil.which("node")
SERVER = [sys.executable, "-P", "-m", "charrepl", "lsp"]

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node is not installed: apt-get install nodejs npm"),
    pytest.mark.skipif(
        not CLIENT.is_dir(), reason="vscode-languageclient is not here: make test-vscode brings it"
    ),
]


class Code:
    """The stand-in, with a file open whose end is typed at."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self._file = file

    def do(self, what: str, **how: Any) -> Any:
        """What comes of one of the things that it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, **how}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("result")

    def activate(self, *, command: list[str] = SERVER) -> None:
        """Starts the extension, and the server with it, and begins a line."""
        settings = {"charrepl.command": command, "charrepl.assertiveness": "bold"}
        self.do("activate", settings=settings, file=os.fspath(self._file), text="COOK:\n")
        self.do("type", text="The kettle si")

    def ghost(self) -> str:
        """The one that comes at last: until a daemon answers, there is none."""
        found: list[str] = []

        def there() -> bool:
            found[:] = self.do("ghosts")
            return bool(found)

        until(there)
        return found[0]

    @property
    def messages(self) -> list[str]:
        """What was shown to the writer."""
        return list(self.do("messages"))

    @property
    def servers(self) -> list[int]:
        """The language servers that run, by process id."""
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def code(tmp_path: Path) -> Iterator[Code]:
    assert NODE is not None
    with subprocess.Popen(
        [NODE, os.fspath(HOST), os.fspath(EXTENSION)],
        env={**os.environ, "NODE_PATH": os.fspath(CLIENT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Code(process, tmp_path / "a.txt")
        finally:
            process.kill()


def taken() -> list[tuple[int, int]]:
    """How many ghosts were taken in VS Code, and how many characters, by day."""
    days = KeysSaved().read().values()
    return [(hosts["vscode"].taken, hosts["vscode"].characters) for hosts in days if "vscode" in hosts]


def test_a_ghost_is_typed_through_taken_and_counted(shared_daemon, code: Code) -> None:
    code.activate()
    assert code.ghost().startswith("The kettle sings, ")
    code.do("type", text="ng")
    whole = code.ghost()
    assert whole.startswith("The kettle sings, ")
    code.do("take")
    assert code.do("text") == f"COOK:\n{whole}"
    assert code.messages == []
    code.do("deactivate")
    until(lambda: taken() == [(1, len(whole) - len("The kettle sing"))])  # it is written as the server ends


def test_whoever_switched_ghosts_off_is_told_so_once(shared_daemon, code: Code) -> None:
    code.activate()
    code.ghost()
    subprocess.run([*CHARREPL, "off", "--host", "vscode"], check=True, capture_output=True)
    until(lambda: code.do("ghosts") == [])
    until(lambda: bool(code.messages))
    code.do("type", text="n")
    assert code.do("ghosts") == []
    (said,) = code.messages
    assert "charrepl on --host vscode" in said
    subprocess.run([*CHARREPL, "on", "--host", "vscode"], check=True, capture_output=True)
    assert code.ghost().startswith("The kettle sin")


def test_the_command_that_switches_ghosts_off_and_on(shared_daemon, code: Code) -> None:
    code.activate()
    ghost = code.ghost()
    code.do("run", command="charrepl.toggle")
    until(lambda: code.do("ghosts") == [])
    code.do("run", command="charrepl.toggle")
    assert code.ghost() == ghost
    assert code.messages == ["charrepl: ghosts are off", "charrepl: ghosts are on"]


def test_a_server_that_is_killed_comes_back_without_a_word(shared_daemon, code: Code) -> None:
    code.activate()
    ghost = code.ghost()
    (first,) = code.servers
    os.kill(first, signal.SIGKILL)
    until(lambda: code.servers not in ([], [first]))
    assert code.ghost() == ghost
    assert code.messages == []


def test_a_program_that_is_not_there_is_said_once_and_can_be_put_right(shared_daemon, code: Code) -> None:
    code.activate(command=["/nowhere/charrepl", "lsp"])
    (said,) = code.messages
    assert said.startswith("charrepl: /nowhere/charrepl did not start: there is no such program.")
    assert code.do("ghosts") == []
    code.do("configure", settings={"charrepl.command": SERVER})
    assert code.ghost().startswith("The kettle sings, ")
    assert code.messages == [said]
