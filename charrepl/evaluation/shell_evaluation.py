"""`charrepl eval --shell`: types the latest tenth of a history, with what history and model suggest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charrepl.client import connection
from charrepl.client.client import Completion
from charrepl.errors import CharreplError
from charrepl.evaluation import ghost_requests
from charrepl.evaluation.command_history import CommandHistory
from charrepl.evaluation.evaluation import Stage
from charrepl.evaluation.ghost_requests import TYPISTS, Advance
from charrepl.evaluation.simulated_typist import Replay, Shown, replay
from charrepl.ghost.display_policy import ASSERTIVENESS, SHORTEST, Policy, shown
from charrepl.settings import model_names
from charrepl.shell_history import history_files
from charrepl.shell_history.history_files import Command
from charrepl.shell_history.secret_rules import without_secrets
from charrepl.wire.protocol import Ghost

_HELD_OUT = 0.1  # of the characters, the latest
_LINES = 32  # as many commands at least are read before a line
_SESSION_S = 1800.0  # without a command end a session
_SESSIONS = (1, 10, 50)  # commands from which on a session is of another length

# What is shown: by the model's ghost, and by the rest of the recalled line.
Decide = Callable[[Completion, str], str]


class HeldOut(NamedTuple):
    """A history of which the latest commands are to be typed, from `first` to before `last`."""

    commands: list[Command]
    first: int
    last: int
    left_out: int  # commands that may be secret

    @property
    def characters(self) -> int:
        """How many are typed, with a newline for each command."""
        return sum(len(command.text) + 1 for command in self.commands[self.first : self.last])


def read(path: Path, limit: int) -> HeldOut:
    """A history without secrets, whose latest tenth is typed, up to `limit` characters.

    Raises CharreplError if it cannot be read, or is too short.
    """
    commands, secrets = without_secrets(history_files.read(path))
    return HeldOut(commands, *held_out([command.text for command in commands], limit), secrets.total())


def learnt(history: HeldOut, directory: Path) -> bool:
    """Whether a model has learnt what is to be typed, in its last pass; it keeps what it learnt from."""
    typed = history.commands[history.first : history.last]
    begins = "".join(f"{command.text}\n" for command in typed[:_LINES])
    try:
        if b'"last_pass_characters"' not in model_names.contents(directory / "metrics.jsonl"):
            return False
        texts = [text.read_text("utf-8") for text in (directory / model_names.SHELL_HISTORY).glob("*.txt")]
    except (OSError, UnicodeDecodeError):
        return False
    return any(begins in text for text in texts)


def evaluate(history: HeldOut, *, model: str, endpoint: str | None, stage: Stage) -> dict[str, Any]:
    """How many keys are saved by history alone, the model alone, and both, as `--json` prints it.

    Raises CharreplError if the daemon refuses.
    """
    commands, first, last, left_out = history
    texts = [command.text for command in commands[:last]]
    asked = _ghosts(texts, first, model=model, endpoint=endpoint, advance=stage("typing"))
    ghosts = asyncio.run(asked)
    sessions = _session_lengths(commands)[first:last]

    def figures(decide: Decide) -> dict[str, Any]:
        typed = list(_typed(texts, first, ghosts, decide))
        found = _figures(typed)
        if any(sessions):
            for least in _SESSIONS:
                above = min((other for other in _SESSIONS if other > least), default=len(commands) + 1)
                of = [done for done, length in zip(typed, sessions, strict=True) if least <= length < above]
                found[f"keystroke_savings_in_sessions_from_{least}"] = _figures(of)["keystroke_savings"]
        return found

    return {
        "model": model,
        "commands": last - first,
        "characters": history.characters,
        "left_out": left_out,
        "history": {"always": figures(lambda ghost, rest: rest)},
        "charrepl": {name: figures(_model(by)) for name, by in ASSERTIVENESS.items()},
        "both": {name: figures(_both(by)) for name, by in ASSERTIVENESS.items()},
    }


def held_out(commands: Sequence[str], limit: int) -> tuple[int, int]:
    """The first command of the latest tenth of a history's characters, and where `limit` of those end.

    Raises CharreplError if that is nothing, or nothing is before it.
    """
    whole = sum(len(command) + 1 for command in commands)
    at, first, last = 0, 0, len(commands)
    for number, command in enumerate(commands):
        if at < whole * (1 - _HELD_OUT):
            first = number + 1
            began = at + len(command) + 1
        elif at + len(command) + 1 - began > limit:
            last = number
            break
        at += len(command) + 1
    if not first < last:
        raise CharreplError(
            f"the latest tenth of {len(commands)} commands is too little to type: give a longer history"
        )
    return first, last


async def _ghosts(
    commands: Sequence[str], first: int, *, model: str, endpoint: str | None, advance: Advance
) -> dict[tuple[int, int], Completion]:
    """The ghost after each character but the last of the commands from `first` on, by command and length."""
    ghosts: dict[tuple[int, int], Completion] = {}
    left = iter(range(first, len(commands)))
    name = f"eval-{os.getpid()}-{os.urandom(6).hex()}"

    async def type_on(typist: int) -> None:
        for number in left:
            command = commands[number]
            # What the scripts of shells put before a line.
            begin = max(0, number // _LINES - 1) * _LINES
            before = "".join(f"{other}\n" for other in commands[begin:number])
            for at in range(1, len(command)):
                asked = ghost_requests.request(before + command[:at], model=model, session=f"{name}-{typist}")
                async for reply in client.stream(asked):
                    ghost = connection.expect(reply, Ghost)
                line = ghost.text.partition("\n")[0]
                ghosts[number, at] = Completion(line, ghost.log_probs[: len(line)])
            advance(len(command) + 1)

    async with ghost_requests.connected(endpoint) as client:
        try:
            async with asyncio.TaskGroup() as typists:
                for typist in range(TYPISTS):
                    typists.create_task(type_on(typist))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
    return ghosts


def _typed(
    commands: Sequence[str], first: int, ghosts: dict[tuple[int, int], Completion], decide: Decide
) -> Iterator[Replay]:
    """The result of typing each command from `first` on, but for its Enter."""
    history = CommandHistory(commands[:first])
    for number in range(first, len(commands)):
        command = commands[number]
        recalled = list(history.recalled(command))

        def ghost(
            at: int, number: int = number, command: str = command, recalled: list[str] = recalled
        ) -> Shown:
            if not 0 < at < len(command):
                return Shown()  # for an empty line nobody is asked
            return Shown(decide(ghosts[number, at], recalled[at - 1]))

        yield replay(command, ghost)
        history.add(command)


def _model(policy: Policy) -> Decide:
    return lambda ghost, rest: ghost.text[: shown(ghost.text, ghost.log_probs, policy)]


def _both(policy: Policy) -> Decide:
    model = _model(policy)
    # As `suggestions.fitting` has it.
    return lambda ghost, rest: model(ghost, rest) or (rest if len(rest) >= SHORTEST else "")


def _figures(typed: Sequence[Replay]) -> dict[str, Any]:
    """Of commands and the key that ends each."""
    keys = sum(done.keys + 1 for done in typed)
    shown, right = sum(done.shown for done in typed), sum(done.right[0] for done in typed)
    return {
        "keystroke_savings": 1 - keys / sum(done.characters + 1 for done in typed) if typed else None,
        "keys": keys,
        "shown": shown / keys if keys else None,
        "first_word_precision": right / shown if shown else None,
    }


def _session_lengths(commands: Sequence[Command]) -> list[int]:
    """How many commands the session of each command has; 0 where there are no times."""
    lengths: list[int] = []
    begun = 0
    for number, command in enumerate(commands):
        before = commands[number - 1].when if number else None
        if command.when is None or before is None or not 0 <= command.when - before < _SESSION_S:
            lengths += [number - begun] * (number - begun)
            begun = number
    lengths += [len(commands) - begun] * (len(commands) - begun)
    return [0 if command.when is None else length for command, length in zip(commands, lengths, strict=True)]


def table(result: dict[str, Any]) -> Iterator[str]:
    """A result of `evaluate` as lines for a person."""
    yield (
        f"{result['model'] or 'the default model'}: the latest {result['commands']:,} commands, "
        f"{result['characters']:,} characters; {result['left_out']:,} that may be secret were left out"
    )
    yield ""
    sessions = [name for name in result["history"]["always"] if name.startswith("keystroke_savings_in")]
    heads = [f"from {name.rpartition('_')[2]}" for name in sessions]
    yield f"{'':17}{'keys saved':>10}{'shown':>9}{'first word':>12}" + (
        "   in sessions of so many commands" if sessions else ""
    )
    yield f"{'':17}{'':10}{'':9}{'right':>12}" + "".join(f"{head:>10}" for head in heads)
    for writer in ("history", "charrepl", "both"):
        for name, figures in result[writer].items():
            yield (
                f"{writer:10}{name:7}{_percent(figures['keystroke_savings']):>10}{_percent(figures['shown']):>9}"
                f"{_percent(figures['first_word_precision']):>12}"
                + "".join(f"{_percent(figures[session]):>10}" for session in sessions)
            )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
