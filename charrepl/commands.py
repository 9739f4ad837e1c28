"""Slash commands: lines that begin with `/` and speak to the REPL, not to the text."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

from charrepl.errors import CharreplError

if TYPE_CHECKING:
    from charrepl.session import Session


class Desk(Protocol):
    """What a command can do."""

    session: Session

    def say(self, text: str) -> None: ...
    def quit(self) -> None: ...
    def background(self, work: Coroutine[None, None, None]) -> None: ...


def run(line: str, desk: Desk) -> None:
    """Carries out a line that begins with `/`, or says in one line why not."""
    name, _, argument = line[1:].strip().partition(" ")
    command = _COMMANDS.get(name)
    if command is None:
        desk.say(f"no command /{name}: /help lists them; // begins a line with a slash")
    else:
        command(argument.strip(), desk)


def _help(argument: str, desk: Desk) -> None:
    desk.say(
        "Tab Right End  take the ghost         Enter   add the line to the text\n"
        "Alt-F          take its next word     Esc     dismiss the ghost\n"
        "Shift-Tab      take its next line     Ctrl-C  clear the line\n"
        "Shift-Right    take one character     Ctrl-D  quit, on an empty line\n"
        "\n"
        "/temp [T]      how freely it writes: 0 is greedy, 0.8 is lively\n"
        "/model [NAME]  the models there are, or change to one\n"
        "/help  /quit   // begins a line with a slash"
    )


def _temp(argument: str, desk: Desk) -> None:
    session = desk.session
    if argument:
        try:
            temperature = float(argument)
        except ValueError:
            temperature = -1.0
        if not 0 <= temperature <= 10:
            desk.say(f"/temp {argument}: expected a number from 0 (greedy) to 10")
            return
        session.choose(temperature=temperature)
    greedy = " (greedy)" if not session.temperature else ""
    desk.say(f"temperature {session.temperature:g}{greedy}")


def _model(argument: str, desk: Desk) -> None:
    if "/" in argument:
        from pathlib import Path

        from charrepl import models

        _change_model(models.absolute(str(Path(argument).expanduser())), desk)
    else:
        desk.background(_find_model(argument, desk))


async def _find_model(name: str, desk: Desk) -> None:
    try:
        known = await desk.session.models()
    except CharreplError as error:
        desk.say(str(error))
        return
    if known is None:
        desk.say("/model: no daemon to ask yet; the toolbar says how it is coming along")
        return
    names = [model.name for model in known.models]
    if name in names:
        _change_model(name, desk)
    elif name:
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=1)
        fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"
        desk.say(f"no model named {name}: {fix}")
    else:
        current = desk.session.model or known.default
        width = max(map(len, names), default=0)
        for model in known.models:
            mark = "*" if model.name == current else " "
            desk.say(f"{mark} {model.name:{width}}  {model.layers} x {model.hidden_size}")


def _change_model(name: str, desk: Desk) -> None:
    desk.session.choose(model=name)
    desk.say(f"model {name}")


def _quit(argument: str, desk: Desk) -> None:
    desk.quit()


_COMMANDS: dict[str, Callable[[str, Desk], None]] = {
    "help": _help,
    "temp": _temp,
    "model": _model,
    "quit": _quit,
}
