"""Slash commands: lines that begin with `/` are for the REPL, not part of the text."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import NamedTuple

from charrepl.commands import model_commands as model
from charrepl.commands import text_commands as text
from charrepl.commands.command_host import CommandHost
from charrepl.errors import CharreplError, did_you_mean
from charrepl.settings import keymap

# So much of a word that is not a command is shown.
SHOWN_CHARS = 20

# The keys that /help shows. All of /help must fit on a screen of 24 rows.
FIRST_KEYS = ("take", "take_word", "next_alternative", "dismiss", "write_on", "undo")

Act = Callable[[str, CommandHost], Coroutine[None, None, None] | None]


class Command(NamedTuple):
    """A command: its name, its arguments, what it does."""

    name: str
    takes: str
    does: str
    act: Act


def run(line: str, host: CommandHost) -> None:
    """Runs a line that is a command, or says in one line why not."""
    name, _, argument = line[1:].strip().partition(" ")
    command = next(command for command in COMMANDS if command.name == ALIASES.get(name, name))
    try:
        work = command.act(argument.strip(), host)
    except CharreplError as error:
        host.say(str(error))
    else:
        if work is not None:
            host.background(_guarded(work, host))


async def _guarded(work: Coroutine[None, None, None], host: CommandHost) -> None:
    try:
        await work
    except CharreplError as error:
        host.say(str(error))


def _help(argument: str, host: CommandHost) -> None:
    keys = keymap.effective(host.session.settings.keys)
    if argument == "keys":
        host.say("\n".join(keymap.table(keys, plain=host.plain)))
        return
    if argument:
        raise CharreplError(f"/help {argument}: expected /help or /help keys")
    shown = [command for command in COMMANDS if not command.name.endswith("!")]
    width = max(len(command.name + command.takes) for command in shown) + 2
    lines = [f"/{f'{command.name} {command.takes}':{width}} {command.does}" for command in shown]
    first = {name: keys[name] for name in FIRST_KEYS}
    host.say("\n".join([*keymap.table(first, plain=host.plain), "", *lines]))


def _quit(argument: str, host: CommandHost) -> None:
    host.quit()


COMMANDS = (
    Command("sample", "[N]", "show a passage of N characters, without keeping it", text.sample),
    Command("undo", "", "take back the last line or passage", text.undo),
    Command("save", "[FILE]", "save the text; /save! overwrites a file", text.save),
    Command("save!", "[FILE]", "", text.save_over),
    Command("open", "FILE", "continue a file's text; /open! even if yours is unsaved", text.open_file),
    Command("open!", "FILE", "", text.open_anyway),
    Command("model", "[NAME]", "list the models, or change to another; also /voice", model.choose),
    Command("temp", "[T]", "how freely it writes: 0 is greedy, 0.8 is lively", model.temperature),
    Command("set", "[NAME VALUE]", "list the settings, or change one", model.change),
    Command("heat", "[LINES]", "the last lines, each character by how surprising it was", model.heat),
    Command("next", "", "what the model thinks comes next", model.next_characters),
    Command("stats", "", "figures of this session", model.stats),
    Command("help", "[keys]", "this list; all keys", _help),
    Command("quit", "", "end the session; charrepl --continue resumes it", _quit),
)
ALIASES = {"voice": "model", "exit": "quit", "q": "quit", "h": "help", "?": "help"}


def known() -> frozenset[str]:
    """All names of commands, including those that /help does not show."""
    return frozenset({command.name for command in COMMANDS} | ALIASES.keys())


def taken_for_text(line: str) -> str:
    """What to say about an entered line that begins with a slash and is not a command."""
    name = "".join(line[1:].split(maxsplit=1)[:1]).rstrip(":,;.")
    shown = name if len(name) <= SHOWN_CHARS else name[: SHOWN_CHARS - 1] + "…"
    near = did_you_mean(f"/{name}", [f"/{known}" for known in names()])
    return f"no command /{shown}: {near or '/help lists them'}; added as text, /undo takes it back"


def names() -> list[str]:
    """The names that you can type after the slash."""
    return [*(command.name for command in COMMANDS if not command.name.endswith("!")), "voice"]
