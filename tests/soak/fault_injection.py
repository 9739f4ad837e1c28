"""What happens to the daemon while writers write: one thing every few seconds."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.lifecycle import control
from tests.charrepl_daemon.changed_model import change
from tests.charrepl_daemon.flooder import FLOODS

COMMAND = [sys.executable, "-m", "charrepl_daemon"]
MOST_PAUSE_S = 4.0
HALT_S = 0.5
MOST_FLOOD_S = 15.0
MOST_FLOODS = 3  # at once


class FaultInjection:
    """Kills, halts, stops and reloads; floods and kills clients."""

    def __init__(
        self, rng: random.Random, serving: list[str], models: list[str], answered: Callable[[], int]
    ) -> None:
        self._rng = rng
        self._answered = answered  # how many ghosts there were so far
        self._answered_before = 0  # the last daemon was ended
        self._serving = serving
        self._models = models
        self._done: Counter[str] = Counter()
        self.doing = ""  # what is going on
        self.ended = 0  # daemons

    def summary(self) -> str:
        """What was done, and how often."""
        return ", ".join(f"{count} {what}" for what, count in sorted(self._done.items()))

    def step(self, *, everything: bool) -> None:
        """Waits a while and does one thing; with `everything`, also what a daemon does not survive."""
        time.sleep(self._rng.uniform(0, MOST_PAUSE_S))  # what is waited for is that the writers write
        gentle = [self._flood, self._reload, self._kill_a_client]
        harsh = [self._kill, self._halt, self._stop]
        # A daemon that has answered nobody yet is left alone: this is to find faults, not slow starts.
        answered = self._answered()
        if not everything or answered == self._answered_before:
            harsh = []
        chosen = self._rng.choice([*gentle, *harsh])
        if chosen in harsh:
            self._answered_before = answered
        self.doing = chosen.__name__.strip("_")
        chosen()
        self.doing = f"after {self.doing}"

    def begin_anew(self) -> None:
        """A new daemon; a writer may be the first to start it."""
        control.stop()
        self.ended += 1
        subprocess.run([*COMMAND, "start", *self._serving], check=True, stdout=subprocess.DEVNULL)

    def _kill(self) -> None:
        found = control.running()
        if found is not None and found.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
                self.ended += 1
            self._done["kills"] += 1

    def _halt(self) -> None:
        found = control.running()
        if found is not None and found.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGSTOP)
                time.sleep(HALT_S)
                os.kill(found.pid, signal.SIGCONT)
            self._done["halts"] += 1

    def _stop(self) -> None:
        control.stop()
        self.ended += 1
        self._done["stops"] += 1

    def _reload(self) -> None:
        model = self._rng.choice(self._models)
        if self._rng.random() < 0.5:
            change(paths.models_dir() / model)  # else it keeps what it has read
        with contextlib.suppress(CharreplError), Client(autostart=False) as client:
            client.ask(protocol.Reload(seq=0, model=model), timeout_s=60)
            self._done["reloads"] += 1

    def _flood(self) -> None:
        """Several clients that send without pause for a while, and read nothing; then they die."""
        kinds = self._rng.sample(sorted(FLOODS), k=self._rng.randrange(1, MOST_FLOODS + 1))
        model = self._rng.choice(self._models)
        self.doing = f"flood of {', '.join(kinds)}"
        command = [sys.executable, "-m", "tests.charrepl_daemon.flooder"]
        with contextlib.ExitStack() as stack:
            for kind in kinds:
                flooder = stack.enter_context(
                    subprocess.Popen([*command, kind, "", model], stdout=subprocess.DEVNULL)
                )
                stack.callback(flooder.kill)
            time.sleep(self._rng.uniform(0, MOST_FLOOD_S))  # the writers go on meanwhile
        self._done["floods"] += 1

    def _kill_a_client(self) -> None:
        command = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]
        with subprocess.Popen(
            [
                *command,
                "complete",
                "ROMEO:",
                "--chars",
                "100000",
                "--model",
                "one",
                "--endpoint",
                paths.endpoint(),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as client:
            assert client.stdout is not None
            # It is being answered, or its daemon has gone, or the writers leave no time for a passage.
            select.select([client.stdout], [], [], MOST_PAUSE_S)
            client.kill()
        self._done["clients killed"] += 1
