"""What the options of our commands have in common, and the options that several have."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charrepl.errors import CharreplError
from charrepl.ghost.display_policy import ASSERTIVENESS
from charrepl.suggestions.request import MOST_LINES
from charrepl.system import user_directories
from charrepl.system.standard_streams import echo
from charrepl.text.control_characters import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from charrepl.settings.settings import Settings


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
lines_option = click.option(
    "--lines", type=click.IntRange(1, MOST_LINES), default=1, show_default=True, help="At most, in a ghost."
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


def host_settings(model: str, assertiveness: str | None) -> Settings:
    """The settings for a host other than the prompt, with the model as the daemon understands it.

    Raises CharreplError if anything is wrong.
    """
    from charrepl.settings import model_names, settings

    chosen = settings.effective(given(model, False, assertiveness, False)).settings
    return replace(chosen, model=model_names.absolute(chosen.model))


@contextlib.contextmanager
def extra(name: str, *packages: str) -> Iterator[None]:
    """Imports what an extra brings. Raises CharreplError if one of its packages is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in packages:
            raise
        import shlex  # only here: the prompt must be drawn soon

        # With the Python that runs this: whoever made .venv has another pip on their PATH.
        install = shlex.join([sys.executable, "-m", "pip", "install", f"charrepl[{name}]"])
        raise CharreplError(f"{missing} is not installed: charrepl {name} needs {install}") from None


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
