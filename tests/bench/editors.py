"""Ghosts in editors, beside the same ghosts by `Client`: `make bench-editors CORPUS=FILE`.

    ways     /infill over a kept connection, by curl as llama.vim has it, and inlineCompletion, each beside
             `Client`. They type the same by turns, key by key, each in a document of its own, so that none
             profits from what another has had decoded
    neovim   a key to its ghost, read from Neovim's screen, and the processor time that a hundred keys take
    start    of `serve` and `lsp` to the first answer, with a daemon that runs, beside a bare interpreter
    keys     keys saved by typing the first 6,000 held-out characters through /infill, with the same ghosts
             by `Client`, and by charrepl eval, whose ghosts have line ends

The model is the bundled one. Text is what it has not learnt.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from charrepl.client import Client
from charrepl.client.client import Completion
from charrepl.evaluation.simulated_typist import Shown, replay
from charrepl.ghost.display_policy import ASSERTIVENESS, MIN_CONFIDENCE, shown
from charrepl.wire.protocol import Decoding
from tests.bench import results
from tests.bench.daemon_speed import daemon
from tests.bench.keys_saved import held_out
from tests.charrepl.editor import URI, Wire, wire
from tests.charrepl.http_site import HttpSite
from tests.charrepl.prompt import CHARREPL
from tests.charrepl.screen import Screen

ROUNDS, KEYS = 8, 50  # stretches, and keys in each of them
PAUSE_S = 0.03  # before a key, as nobody types as fast as an answer comes
BEFORE = 1500  # characters before a stretch, of which the first key reads what is new
STARTS = 7
TYPED, HELD_OUT = 100, 6000
GAP_S = 0.125  # 8 keys a second
GHOST_S = 0.3  # whoever has seen no ghost by then is shown none
PARTS = ("ways", "neovim", "start", "keys")
LINES = 256  # above the cursor, which llama.vim sends


class Http:
    """Asks for ghosts as llama.vim does, but over a kept connection."""

    def __init__(self, site: HttpSite, host: str = "vim") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port)
        self.head = {**site.head, "Authorization": f"Bearer {site.key}.{host}"}

    @staticmethod
    def body(before: str) -> str:
        """The request for the ghost after a text."""
        *above, line = before.split("\n")
        prefix = "\n".join(above[-LINES:]) + "\n"
        return json.dumps(
            {"input_prefix": prefix, "prompt": line, "input_suffix": "\n", "n_predict": 128, "stream": False}
        )

    def ghost(self, before: str) -> str:
        """The ghost after a text. What says nothing of the text is asked for again."""
        while True:
            self._connection.request("POST", "/infill", self.body(before), self.head)
            said = self._connection.getresponse().read()
            if said != b'{"content": ""}':
                return str(json.loads(said)["content"])


class Lsp:
    """Types in a language server's document."""

    def __init__(self, server: Wire) -> None:
        self._server = server
        self._version = 0
        self._text = ""
        item = {"uri": URI, "languageId": "plaintext", "version": 0, "text": ""}
        server.tell("textDocument/didOpen", {"textDocument": item})

    def ghost(self, before: str) -> str:
        """The ghost after a text, which is the last one and a few keys, or another one."""
        start = _end(self._text)
        if before.startswith(self._text):
            change: dict[str, Any] = {"range": {"start": start, "end": start}}
            change["text"] = before[len(self._text) :]
        else:
            change = {"text": before}
        self._version, self._text = self._version + 1, before
        document = {"uri": URI, "version": self._version}
        changed = {"textDocument": document, "contentChanges": [change]}
        self._server.tell("textDocument/didChange", changed)
        asked = {"textDocument": {"uri": URI}, "position": _end(before), "context": {"triggerKind": 2}}
        items = self._server.ask("textDocument/inlineCompletion", asked)["result"]["items"]
        return items[0]["insertText"][len(before.rpartition("\n")[2]) :] if items else ""


def _end(text: str) -> dict[str, int]:
    return {"line": text.count("\n"), "character": len(text.rpartition("\n")[2])}


def by_curl(site: Http, port: int, before: str) -> None:
    """One request by a program of its own."""
    heads = [word for name, value in site.head.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "--silent", "--no-buffer", *heads, "--data-binary", "@-"]
    subprocess.run(
        [*command, f"http://127.0.0.1:{port}/infill"],
        input=Http.body(before).encode(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def row(what: str, unit: str, median: float, p99: float | None = None, **more: float) -> results.Row:
    """A row of the table, printed."""
    found = {"what": what, "unit": unit, "median": round(median, 2), "p99": p99 and round(p99, 2)}
    found |= {name: more.get(name) and round(more[name], 2) for name in ("over_client", "p99_over_client")}
    print("  ".join(f"{value}" for value in found.values() if value is not None), flush=True)
    return found


def ways(text: str) -> Iterator[results.Row]:
    """A key to its ghost, each way beside `Client`: all type the same by turns, each in its own document."""
    with HttpSite() as site, wire() as server, Client() as client:
        plugin, editor = Http(site), Lsp(server)
        other = Http(site, "neovim")  # one host, with one request at a time, is one writer to the daemon
        typists: dict[str, Callable[[str], object]] = {
            "Client": lambda before: complete(client, before),
            "/infill, a kept connection": plugin.ghost,
            "/infill, curl each time": lambda before: by_curl(other, site.port, before),
            "inlineCompletion": editor.ghost,
        }
        times: dict[str, list[float]] = {name: [] for name in typists}
        names = list(typists)
        for number in range(ROUNDS + 1):  # the first warms up
            start = BEFORE + number * KEYS
            # By its first line the daemon has not read it for another, whose ghosts it would know.
            whole = {name: f"{name}\n{text[start - BEFORE : start + KEYS]}" for name in names}
            for left in range(KEYS + 1, 0, -1):  # the first key has the daemon read what is new
                for name in names:
                    time.sleep(PAUSE_S)
                    began = time.perf_counter()
                    typists[name](whole[name][:-left])
                    took = 1000 * (time.perf_counter() - began)
                    times[name] += [took] if number and left <= KEYS else []
                names.append(names.pop(0))  # nobody is always the first
        yield from _beside_client(times)


def complete(client: Client, before: str) -> Completion:
    """The ghost that the servers ask for."""
    return client.complete(before, min_confidence=MIN_CONFIDENCE, decoding=Decoding(adapt=True))


def _beside_client(times: dict[str, list[float]]) -> Iterator[results.Row]:
    middle, most = (
        {name: _percentile(values, share) for name, values in times.items()} for share in (0.5, 0.99)
    )
    for name in times:
        yield row(
            name,
            "ms",
            middle[name],
            most[name],
            over_client=middle[name] / middle["Client"],
            p99_over_client=most[name] / most["Client"],
        )


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


# Neovim


@contextlib.contextmanager
def neovim(place: Path) -> Iterator[Screen]:
    """Neovim with what `--setup neovim` prints, inserting at the end of a file of one line."""
    printed = subprocess.run(
        [*CHARREPL, "lsp", "--setup", "neovim"], capture_output=True, text=True, check=True
    )
    settings = printed.stdout.replace("cmd =", "settings = { assertiveness = 'bold' }, cmd =")
    (place / "init.lua").write_text("vim.opt.termguicolors = true\n" + settings)
    (place / "a.txt").write_text("ROMEO:\n")
    homes = {f"XDG_{name}_HOME": str(place / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    program = str(Path(sys.executable).with_name("nvim"))
    command = [program, "-n", "-u", str(place / "init.lua"), str(place / "a.txt")]
    with Screen(command, env={**os.environ, **homes, "TERM": "xterm-256color"}, columns=200) as screen:
        screen.wait_for("ROMEO:").type("Go")
        screen.wait_for("INSERT")
        yield screen
        screen.type("\x1b:q!\r")
        screen.wait_for_exit()


def behind(screen: Screen) -> str:
    """What stands behind the cursor in its line: a ghost, as one types at the end."""
    x, y = screen.cursor
    return screen.rows[y][x:].rstrip()


def in_neovim(text: str, place: Path) -> Iterator[results.Row]:
    """A key that no ghost foresaw to its ghost on the screen, and the processor time of a hundred keys."""
    times = []
    with neovim(place) as screen:
        programs = _programs()
        screen.type("What")
        screen.wait_for(behind)  # the server has started
        used = _processor_s(programs())
        for typed, key in enumerate(text):
            if typed == TYPED:
                break
            ghost, (x, y) = behind(screen), screen.cursor
            began = time.perf_counter()
            screen.send(key)
            screen.wait_for(lambda s, x=x, y=y: s.cursor != (x, y))
            if not ghost.startswith(key):  # else it is typed through
                until = began + GHOST_S
                while behind(screen) in ("", ghost) and time.perf_counter() < until:
                    screen.take_in(0.002)
                if behind(screen) not in ("", ghost):
                    times.append(1000 * (time.perf_counter() - began))
            screen.take_in(max(0.0, GAP_S - (time.perf_counter() - began)))
        used = _processor_s(programs()) - used
    yield row("key to ghost on Neovim's screen", "ms", _percentile(times, 0.5), _percentile(times, 0.99))
    yield row("processor time, 100 keys in Neovim, daemon and server", "s", used)


def _programs() -> Callable[[], list[int]]:
    """The daemon and the language server, by process id."""
    from charrepl_daemon.lifecycle import control

    running = control.running()
    assert running is not None and running.pid

    def found() -> list[int]:
        pids = [int(name.name) for name in Path("/proc").iterdir() if name.name.isdecimal()]
        servers = [pid for pid in pids if _command(pid)[-3:] == ["-m", "charrepl", "lsp"]]
        ours = [pid for pid in servers if _environment(pid) == os.environ["CHARREPL_RUNTIME_DIR"]]
        return [running.pid, *ours]

    return found


def _command(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return []


def _environment(pid: int) -> str:
    said = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next((value[21:] for value in said if value.startswith("CHARREPL_RUNTIME_DIR=")), "")


def _processor_s(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# Start


def starts(text: str) -> Iterator[results.Row]:
    """Start to first answer."""
    before = text[:400]
    ready = HttpSite()  # makes the key, and has the daemon read the text
    Http(ready).ghost(before)
    ready.end()

    def serve() -> None:
        with HttpSite(key=ready.key) as site:
            Http(site).ghost(before)
            took.append(time.perf_counter() - began)

    def lsp() -> None:
        with wire() as server:
            Lsp(server).ghost(before)
            took.append(time.perf_counter() - began)

    def bare() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        took.append(time.perf_counter() - began)

    measured: dict[str, list[float]] = {}
    for _ in range(STARTS + 1):  # in turn; the first warms up
        for name, start in (("serve", serve), ("lsp", lsp), ("a bare interpreter", bare)):
            took = measured.setdefault(name, [])
            began = time.perf_counter()
            start()
    for name, values in measured.items():
        yield row(f"start of {name}", "s", statistics.median(values[1:]))


# Keys saved


def saved(text: str, place: Path) -> Iterator[results.Row]:
    """Keys saved through /infill, by the same ghosts from `Client`, and as charrepl eval counts them."""
    with HttpSite() as site:
        plugin = Http(site)
        done = replay(text, lambda at: Shown(plugin.ghost(text[:at])))
    yield row("keys saved through /infill", "%", 100 * done.savings)
    with Client() as client:

        def within_line(at: int) -> Shown:
            found = complete(client, text[:at])
            line = found.text.partition("\n")[0]
            return Shown(line[: shown(line, found.log_probs[: len(line)], ASSERTIVENESS["normal"])])

        done = replay(text, within_line)
    yield row("keys saved, ghosts without line ends, normal", "%", 100 * done.savings)
    (place / "held-out.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "charrepl", "eval", str(place / "held-out.txt"), "--json"]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    share = found["charrepl"]["normal"]["keystroke_savings"]
    yield row("keys saved, charrepl eval, normal", "%", 100 * share)


def main() -> None:
    """Prints a line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    results.add_option(parser)
    arguments = parser.parse_args()
    text = held_out(arguments.corpus.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="cr-") as directory:
        place = Path(directory)
        for name in ("DATA", "CONFIG", "RUNTIME"):
            os.environ[f"CHARREPL_{name}_DIR"] = f"{place}/{name.lower()}"
        parts: dict[str, Callable[[], Iterator[results.Row]]] = {
            "ways": lambda: ways(text),
            "neovim": lambda: in_neovim(text[-2000:].replace("\n", " "), place),
            "start": lambda: starts(text),
            # It begins with no empty line: llama.vim does not tell a first line from one below an empty one.
            "keys": lambda: saved(text.lstrip("\n")[:HELD_OUT], place),
        }
        with daemon("auto"):
            rows = [row for name in arguments.parts or PARTS for row in parts[name]()]
    results.write(arguments.results, "editors", rows)


if __name__ == "__main__":
    main()
