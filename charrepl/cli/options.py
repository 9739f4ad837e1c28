"""What the options of our commands have in common, and the options that several have."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charrepl.ghost.display_policy import ASSERTIVENESS
from charrepl.system import user_directories
from charrepl.system.standard_streams import echo
from charrepl.text.control_characters import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FloatRange(click.FloatRange):
    """A range that excludes nan, which is neither below nor above it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class FilePath(click.Path):
    """The path of a file or directory, with `~` for the home directory wherever a shell leaves it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)
        return user_directories.expanded(path)


# Of minutes or of epochs: above 0, and small enough not to overflow when it is multiplied.
AMOUNT = FloatRange(0, 1_000_000, min_open=True)


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the models whose names begin so, or the directories."""
    from click.shell_completion import CompletionItem

    from charrepl.errors import CharreplError
    from charrepl.settings import model_names

    if model_names.is_path(incomplete):
        return [CompletionItem(incomplete, type="dir")]
    names: list[str] = []
    with contextlib.suppress(CharreplError):  # which the command itself will tell
        names = [directory.name for directory in model_names.installed()]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


model_option = click.option(
    "--model",
    metavar="NAME|DIR",
    default="",
    shell_complete=complete_model,
    help="A model, by name or directory.",
)
endpoint_option = click.option("--endpoint", metavar="URL", help="Use this daemon instead of your own.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")

vi_option = click.option("--vi", is_flag=True, help="Edit with vi keys.")
assertiveness_option = click.option(
    "--assertiveness", type=click.Choice(tuple(ASSERTIVENESS)), help="How readily ghosts appear."
)
plain_option = click.option("--plain", is_flag=True, help="Lines only, for a screen reader.")


def given(model: str, vi: bool, assertiveness: str | None, plain: bool) -> dict[str, str]:
    """The settings that the command line gives. Empty ones are not among them."""
    return {
        "model": model,
        "editing_mode": "vi" if vi else "",
        "assertiveness": assertiveness or "",
        "plain": "always" if plain else "",
    }


def print_json(value: Any, *, indent: int = 0) -> None:
    """Prints what --json asks for; with `indent`, over several lines. Nothing is lost, in any encoding."""
    import json

    import msgspec

    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a name that is no text
        text = json.dumps(msgspec.to_builtins(value))
    unsafe = sys.stdout.isatty() and printable(text) != text
    if unsafe or text.encode(sys.stdout.encoding, "replace") != text.encode():  # JSON is UTF-8 in any locale
        text = json.dumps(json.loads(text))  # in ASCII
    echo(msgspec.json.format(text, indent=indent) if indent else text)
