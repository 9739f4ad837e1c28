"""Ghosts in shells and Python prompts, how soon and at what cost: `make bench-shell`.

    ways       the same texts, by turns: through ZeroMQ; the line socket, one connection a request, from
               Python and from zsh itself; GhostSuggest's method that a key waits for
    keys       a key to its echo in zsh, with a daemon that is well, and with one that hangs (SIGSTOP)
    processor  what a hundred keys cost at 8 a second: the daemon, and the program that is typed in

The daemon is one of its own, with the bundled model. The texts are letters that no ghost foresees, so that
each key is computed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

from charrepl.autosuggest import GhostSuggest
from charrepl.client import Client
from charrepl.ghost.display_policy import MIN_CONFIDENCE
from charrepl.system import paths
from charrepl.wire.protocol import Decoding
from tests.bench import results
from tests.bench.daemon_speed import KEYS, daemon, percentiles, places
from tests.charrepl.screen import Screen
from tests.charrepl.shells.shell import CTRL_U, at_prompt, start

LINE = KEYS.replace("\n", ";")
ROUNDS, LENGTH = 8, 40
BETWEEN_S = 0.06  # so that an answer that comes too late for its key has come before the next
TYPED, GAP_S = 100, 0.125
PLUGIN = Path("/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh")
CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]
# Answers each line, a text of before and of a line with a tab between them, with how long its ghost took.
IN_ZSH = """\
source $1
zmodload zsh/net/socket zsh/system zsh/datetime zsh/langinfo
typeset -F 3 began
typeset -gi _charrepl_answered=1
while IFS=$'\\t' read -r before line; do
  _charrepl_context=$before$'\\n'
  began=$EPOCHREALTIME
  _charrepl_send "$line" && _charrepl_hear $REPLY 5
  print $(( (EPOCHREALTIME - began) * 1000 ))
done
"""
# Asks as `get_suggestion` of an application would be asked, in a process of its own.
IN_PYTHON = """\
import sys, time
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from charrepl.autosuggest import GhostSuggest
ghosts, buffer = GhostSuggest(), Buffer()
for line in sys.stdin:
    ghosts.get_suggestion(buffer, Document(line[:-1]))
    print(time.process_time(), flush=True)
"""

Way = Callable[[str, str], float]  # a text before, and a line, to milliseconds


# The ways


def timed(work: Callable[[], object]) -> float:
    """The milliseconds it takes."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def by_line_socket(before: str, line: str) -> None:
    """Asks on a connection of its own."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(paths.line_socket()))
        connection.sendall(f"\x01host=zsh\x01document=bench\0{before}\n{line}\0".encode())
        while not connection.recv(4096).endswith(b"\0"):
            pass


@contextlib.contextmanager
def zsh(place: Path) -> Iterator[Way]:
    """Has zsh ask by the functions that `charrepl shell zsh` prints, and time it itself."""
    script = place / "charrepl.zsh"
    script.write_bytes(subprocess.run([*CHARREPL, "shell", "zsh"], check=True, capture_output=True).stdout)
    command = ["zsh", "-fc", IN_ZSH, "zsh", str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin is not None and asking.stdout is not None

        def ask(before: str, line: str) -> float:
            print(before, line, sep="\t", file=asking.stdin, flush=True)
            assert asking.stdout is not None
            return float(asking.stdout.readline())

        yield ask
        asking.stdin.close()


def ways(place: Path) -> list[results.Row]:
    """How long a ghost takes, by the way it is asked for."""
    ghosts, buffer = GhostSuggest(earlier=lambda: [before]), Buffer()
    found: dict[str, list[float]] = {}
    with Client() as client, contextlib.ExitStack() as stack:
        asked: dict[str, Way] = {
            "through ZeroMQ, one connection": lambda before, line: timed(
                lambda: client.complete(
                    f"{before}\n{line}", min_confidence=MIN_CONFIDENCE, decoding=Decoding(adapt=True)
                )
            ),
            "line socket, a connection each, from Python": lambda before, line: timed(
                lambda: by_line_socket(before, line)
            ),
            "get_suggestion": lambda before, line: timed(
                lambda: ghosts.get_suggestion(buffer, Document(line))
            ),
        }
        if shutil.which("zsh"):
            asked["line socket, a connection each, from zsh"] = stack.enter_context(zsh(place))
        for turn, (name, ask) in itertools.product(range(ROUNDS), asked.items()):
            before = f"{turn} {name}"  # so that nobody's text is known already
            for end in range(1, LENGTH):
                took = ask(before, LINE[:end])
                time.sleep(BETWEEN_S)
                if turn:  # the first warms up
                    found.setdefault(name, []).append(took)
    ghosts.close()
    for name, values in found.items():
        print(f"key to suggestion, {name:45} {percentiles(values)} ms", flush=True)
    return [{"way": name, **results.percentiles(values)} for name, values in found.items()]


# Keys


def echoes(screen: Screen) -> list[float]:
    """The milliseconds from each key to its echo."""
    found = []
    for count, key in zip(range(TYPED), itertools.cycle(LINE[:LENGTH]), strict=False):
        if count % LENGTH == 0:
            screen.send(CTRL_U)
            screen.wait_for(at_prompt)
        column = screen.cursor[0] + 1
        began = time.perf_counter()
        screen.send(key)
        screen.wait_for(lambda screen, column=column: screen.cursor[0] == column)
        found.append(1000 * (time.perf_counter() - began))
        screen.take_in(GAP_S)
    return found


def keys(place: Path, pid: int) -> tuple[list[results.Row], list[results.Row]]:
    """How long a key takes to its echo in zsh, and what a hundred cost."""
    rows, cost = [], []
    kinds = {"its own widget": ""}
    if PLUGIN.exists():
        source = f"ZSH_AUTOSUGGEST_STRATEGY=(charrepl); source {PLUGIN}"
        kinds |= {
            "zsh-autosuggestions": source,
            "zsh-autosuggestions, synchronous": f"{source}; unset ZSH_AUTOSUGGEST_USE_ASYNC",
        }
    for kind, before in kinds.items():
        with start("zsh", place, os.environ, before=before) as screen:
            for state in ("well", "hung"):
                if state == "hung":
                    os.kill(pid, signal.SIGSTOP)
                used = processor_s(pid), processor_s(screen.pid)
                took = echoes(screen)
                of_daemon, of_shell = processor_s(pid) - used[0], processor_s(screen.pid) - used[1]
                os.kill(pid, signal.SIGCONT)
                rows.append(
                    {
                        "zsh_with": kind,
                        "daemon": state,
                        **results.percentiles(took),
                        "slowest_ms": round(max(took), 2),
                    }
                )
                said = f"{percentiles(took)}  max {max(took):6.2f} ms"
                print(f"key to echo, zsh with {kind:33} daemon {state} {said}", flush=True)
                if state == "well":
                    cost.append(costs(f"zsh with {kind}", of_daemon, of_shell))
    return rows, cost


# The processor


def processor_s(pid: int) -> float:
    """What a process, and those that it has waited for, have used so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / os.sysconf("SC_CLK_TCK")


def costs(what: str, of_daemon: float, of_program: float) -> results.Row:
    """A row of what a hundred keys cost."""
    print(
        f"a hundred keys in {what:40} daemon {of_daemon:5.2f} s  the program {of_program:5.2f} s", flush=True
    )
    return {"typed_in": what, "daemon_s": round(of_daemon, 2), "program_s": round(of_program, 2)}


def in_python(pid: int) -> results.Row:
    """What a hundred keys cost with `get_suggestion`."""
    command = [sys.executable, "-c", IN_PYTHON]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin is not None and asking.stdout is not None

        def press(text: str) -> float:
            print(text, file=asking.stdin, flush=True)
            assert asking.stdout is not None
            return float(asking.stdout.readline())

        for _ in range(20):  # until it is connected
            began = press("x")
            time.sleep(0.1)
        used = processor_s(pid)
        for count in range(TYPED):
            ended = press(LINE[: 1 + count % LENGTH])
            time.sleep(GAP_S)
        asking.stdin.close()
    return costs("get_suggestion", processor_s(pid) - used, ended - began)


def main() -> None:
    """Prints a line for each."""
    from charrepl_daemon.lifecycle import control

    directory = results.option(__doc__)
    with places() as place, daemon("auto"):
        found = control.running()
        assert found is not None
        results.write(directory, "suggestions", ways(place))
        cost = [in_python(found.pid)]
        if shutil.which("zsh"):
            echoed, more = keys(place, found.pid)
            results.write(directory, "shell_keys", echoed)
            cost += more
        results.write(directory, "shell_processor", cost)


if __name__ == "__main__":
    main()
