"""Commands about the model: which model, how it writes, and how it sees the text."""

from __future__ import annotations

import contextlib
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import wcwidth

from charrepl.commands.text_commands import count
from charrepl.errors import CharreplError, did_you_mean
from charrepl.settings.settings import kinds, with_value
from charrepl.writing.draft import last_lines

if TYPE_CHECKING:
    from charrepl.commands.command_host import CommandHost

HEAT_LINES = 12


def temperature(argument: str, host: CommandHost) -> None:
    """Shows or changes the temperature."""
    if argument:
        try:
            host.apply(with_value(host.session.settings, "temperature", argument))
        except CharreplError as error:
            raise CharreplError(str(error).replace("temperature", "/temp", 1)) from None
    now = host.session.settings.temperature
    host.say(f"temperature {now:g}{'' if now else ' (greedy)'}")


async def choose(argument: str, host: CommandHost) -> None:
    """Lists the models, or changes to another."""
    session = host.session
    from charrepl.files import pasted_paths
    from charrepl.settings import model_names

    if model_names.is_path(argument):
        _change_model(model_names.absolute(str(pasted_paths.meant(argument))), host)
        return
    known = await session.link.models()
    names = [model.name for model in known.models]
    argument = unicodedata.normalize("NFC", argument)
    if argument in names:
        _change_model(argument, host)
    elif argument:
        fix = did_you_mean(argument, names) or f"there are {', '.join(names) or 'none'}"
        raise CharreplError(f"no model named {argument}: {fix}")
    else:
        current = session.link.model or known.default
        width = max(map(wcwidth.width, names), default=0)
        for model in known.models:
            mark = "*" if model.name == current else " "
            host.say(f"{mark} {wcwidth.ljust(model.name, width)}  {model.layers} x {model.hidden_size}")


def _change_model(name: str, host: CommandHost) -> None:
    host.apply(replace(host.session.settings, model=name))
    host.say(f"model {name}")


async def change(argument: str, host: CommandHost) -> None:
    """Shows the settings, or changes one of them until the session ends."""
    settings = host.session.settings
    name, _, value = argument.partition(" ")
    if not name:
        shown = {name: _shown(name, host) for name in kinds()}
        width = max(map(len, shown))
        host.say("\n".join(f"{name:{width}}  {value}" for name, value in shown.items()))
        return
    if name == "model" and value:
        await choose(value.strip(), host)
        return
    if value and name == "plain":
        raise CharreplError(
            "plain is chosen at the start: leave with /quit, then charrepl --plain --continue"
        )
    if value:
        host.apply(with_value(settings, name, value.strip()))
    elif name not in kinds():
        with_value(settings, name, "")  # its error says which settings there are
    host.say(f"{name} {_shown(name, host)}")


def _shown(name: str, host: CommandHost) -> object:
    """A setting's value as a person writes it. For the model, the one in use."""
    value = getattr(host.session.settings, name)
    if name == "model":
        return host.session.link.model
    return ("off", "on")[value] if isinstance(value, bool) else value


async def heat(argument: str, host: CommandHost) -> None:
    """Shows the last lines of the text. Each character's style says how surprising it was."""
    from charrepl.commands.heat_map import heat_map

    lines = count(argument, default=HEAT_LINES, most=10_000, usage="/heat")
    session = host.session
    if not session.draft.text:
        raise CharreplError("there is no text yet: type a line first")
    await session.surprise.read(session.draft)
    bits = session.surprise.bits(session.draft)
    if not bits:
        raise CharreplError("the text or the model has changed meanwhile: ask again")
    text = session.draft.text[-len(bits) :]
    last = last_lines(text, lines)
    host.show(heat_map(last, bits[-len(last) :]))


async def next_characters(argument: str, host: CommandHost) -> None:
    """Shows the likeliest next characters and how likely each is."""
    from charrepl.commands.heat_map import bars

    found = await host.session.next_characters()
    if not found:
        raise CharreplError("the daemon was busy with what you typed: ask again")
    host.say(bars(found, columns=host.columns()))


async def stats(argument: str, host: CommandHost) -> None:
    """Shows how much was written, what the ghosts saved, and how quick they were."""
    session, tally = host.session, host.session.tally
    draft = session.draft
    if draft.pieces:
        with contextlib.suppress(CharreplError):  # then that number is left out
            await session.surprise.read(draft)
    bits = session.surprise.mean_of_pieces(draft)
    added = sum(len(piece.text) for piece in draft.pieces)
    rows = [
        ("text", f"{len(draft.text):,} characters, {added:,} of them added in this session"),
        ("ghosts", f"{tally.shown:,} shown, {tally.taken:,} of them taken, {tally.accepted:,} characters"),
    ]
    if tally.savings is not None:
        keys = tally.typed + tally.keys
        rows.append(("keystrokes", f"{keys:,}, {tally.savings:.1%} saved"))
    if bits is not None:
        rows.append(("surprise", f"{bits:.2f} bits per character"))
    if tally.latencies_ms:
        median, slow = tally.percentile_ms(50), tally.percentile_ms(95)
        rows.append(("latency", f"median {median:.0f} ms, 95 % within {slow:.0f} ms"))
    from charrepl.suggestions import keys_saved

    if saved := keys_saved.in_words(keys_saved.KeysSaved().saved_by_host()):
        rows.append(("keys saved", f"{saved}, in all"))
    host.say("\n".join(f"{name:12}{value}" for name, value in rows))
