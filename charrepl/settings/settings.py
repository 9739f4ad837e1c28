"""Settings: reads and checks config.toml, the environment and the command line.

They are read before the first paint. So this imports only tomllib, and not even that if there is no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charrepl.errors import CharreplError, did_you_mean, reason
from charrepl.ghost.display_policy import ASSERTIVENESS
from charrepl.system import paths

if TYPE_CHECKING:  # few users set keys, and this import delays the prompt
    from charrepl.settings import keymap

# The settings whose value is one of a few words.
CHOICES = {
    "editing_mode": ("emacs", "vi"),
    "assertiveness": tuple(ASSERTIVENESS),
    "background": ("dark", "light"),
    "colors": ("auto", "none", "16", "256", "true"),
    "plain": ("auto", "always", "never"),
}


def _setting(default: Any, does: str) -> Any:
    return field(default=default, metadata={"does": does})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of config.toml, with their defaults, and what each does."""

    model: str = _setting("", "a name or a directory; empty for the last one trained, else the bundled one")
    editing_mode: str = _setting("emacs", '"emacs" or "vi"')
    assertiveness: str = _setting("normal", 'how readily ghosts appear: "quiet", "normal" or "bold"')
    temperature: float = _setting(0.0, "how freely ghosts are chosen: 0 is the likeliest, 0.8 is lively")
    adapt: bool = _setting(True, "expect names and phrases that the text already has")
    escape_timeout_ms: int = _setting(100, "how long Esc waits to see whether it begins an Alt key")
    background: str = _setting("dark", 'of the terminal: "dark" or "light"')
    colors: str = _setting("auto", '"auto" goes by NO_COLOR, COLORTERM and TERM; "none", "16", "256", "true"')
    plain: str = _setting(
        "auto", 'lines only, for a screen reader: "auto" where TERM is dumb, "always", "never"'
    )
    keys: Mapping[str, keymap.Keys] = field(default_factory=dict)  # by action, where the user chose keys

    def problem(self) -> tuple[str, str] | None:
        """The first setting with a bad value, and what was expected; None if all are good."""
        checks = [
            *((name, getattr(self, name) in words, _one_of(words)) for name, words in CHOICES.items()),
            ("temperature", 0 <= self.temperature <= 10, "expected 0 (greedy) to 10"),
            ("escape_timeout_ms", 1 <= self.escape_timeout_ms <= 100, "expected 1 to 100"),
        ]
        return next(((name, expected) for name, good, expected in checks if not good), None)


def _one_of(words: tuple[str, ...]) -> str:
    *others, last = [f'"{word}"' for word in words]
    return f"expected {', '.join(others)} or {last}"


_KINDS = {"str": (str,), "float": (float, int), "int": (int,), "bool": (bool,)}
_NAMES = {"str": "a string in quotes", "float": "a number", "int": "a whole number", "bool": "true or false"}
_SWITCH = {"true": True, "on": True, "false": False, "off": False}


FILE = "config.toml"


class EffectiveSettings(NamedTuple):
    """The settings in force, and where each that is not the default comes from."""

    settings: Settings
    sources: dict[str, str]  # by setting: FILE, "command line", or a variable


def effective(
    given: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None
) -> EffectiveSettings:
    """The settings of the file, overridden by the environment, overridden by `given`, the command line.

    Empty values of `given` do not count. Raises CharreplError if anything is wrong.
    """
    settings, in_file = _read(paths.config_file())
    environ = os.environ if environ is None else environ
    sources = dict.fromkeys(in_file, FILE)
    for name in kinds():
        value = environ.get(variable(name))
        if value:
            settings = with_value(settings, name, value, said=f"{variable(name)}={value}")
            sources[name] = variable(name)
    on_command_line = {name: value for name, value in (given or {}).items() if value}
    sources |= dict.fromkeys(on_command_line, "command line")
    return EffectiveSettings(replace(settings, **on_command_line), sources)


def variable(name: str) -> str:
    """The environment variable for a setting."""
    return f"CHARREPL_{name.upper()}"


def load(path: Path) -> Settings:
    """The settings in `path`, or the defaults if there is no such file.

    Raises CharreplError, with the line, if the file cannot be read or contains something unknown.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Settings, list[str]]:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        return Settings(), []
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}") from None
    return _parse(source, str(path))


def parse(source: bytes, name: str) -> Settings:
    """The settings in a TOML text. Raises CharreplError as `name:line: what and the fix`."""
    return _parse(source, name)[0]


def _parse(source: bytes, name: str) -> tuple[Settings, list[str]]:
    """The settings in a TOML text, and the names of the settings that it contains."""
    import tomllib

    try:
        text = source.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        raise CharreplError(f"{name}:{line}: not UTF-8: save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise CharreplError(f"{name}:{_not_toml(str(error), text)}") from None
    try:
        return _checked(values), list(values)
    except _WrongError as wrong:
        raise CharreplError(f"{name}:{line_of(wrong.place, text)}: {wrong}") from None


def _not_toml(said: str, text: str) -> str:
    """The number of the line that is not TOML, and what to do about it."""
    at = re.search(r"at line (\d+)", said)
    number = int(at[1]) if at else text.count("\n") + (not text.endswith("\n"))
    line = text.splitlines()[number - 1] if number <= text.count("\n") + 1 and text else ""
    bare = re.fullmatch(r"\s*([\w-]+)\s*=\s*([^\W\d][^\"'#\[{]*?)\s*(?:#.*)?", line)
    if bare:
        return f'{number}: {bare[2]} needs quotes: {bare[1]} = "{bare[2]}"'
    said = re.sub(r" \(at .*\)$", "", said)
    if "overwrite" in said or "twice" in said:
        return f"{number}: set twice: keep one of the two"
    return f'{number}: not TOML: {said}: write NAME = VALUE, a text in "quotes"'


class _WrongError(Exception):
    """An error in a file, and the keys that lead to its place."""

    def __init__(self, place: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


def _checked(values: dict[str, Any]) -> Settings:
    for key, value in values.items():
        if key == "keys":
            continue
        kind = kinds().get(key)
        if kind is None:
            raise _WrongError((key,), _unknown(key, [*kinds(), "keys"]))
        if not isinstance(value, _KINDS[kind]) or isinstance(value, bool) != (kind == "bool"):
            raise _WrongError((key,), f"{key} = {_shown(value)}: expected {_NAMES[kind]}")
    settings = Settings(**{**values, "keys": _checked_keys(values.get("keys", {}))})
    wrong = settings.problem()
    if wrong is not None:
        key, expected = wrong
        raise _WrongError((key,), f"{key} = {_shown(values[key])}: {expected}")
    return settings


def _checked_keys(table: Any) -> dict[str, keymap.Keys]:
    if table == {}:
        return {}
    from charrepl.settings import keymap

    if not isinstance(table, dict):
        raise _WrongError(
            ("keys",), f"keys = {_shown(table)}: expected a table: [keys], and below it ACTION = KEY"
        )
    found: dict[str, keymap.Keys] = {}
    for key, value in table.items():
        name, said = keymap.action_name(key), f"{key} = {_shown(value)}"
        if name is None:
            near = did_you_mean(key.replace("-", "_"), keymap.names())
            raise _WrongError(("keys", key), f"unknown action {key}: {near or 'charrepl config lists them'}")
        pressed = [value] if isinstance(value, str) else value
        if not isinstance(pressed, list) or not all(isinstance(one, str) for one in pressed):
            raise _WrongError(("keys", key), f'{said}: expected a key, "Ctrl-E", or a list of keys')
        try:
            found[name] = tuple(dict.fromkeys(keymap.canonical(one) for one in pressed))
        except ValueError as error:
            raise _WrongError(("keys", key), f"{said}: {error}") from None
    _check_clashes(found, {keymap.action_name(key): key for key in table})
    return found


def _check_clashes(found: dict[str, keymap.Keys], spelt: Mapping[str | None, str]) -> None:
    from charrepl.settings import keymap

    clash = keymap.clash(found)
    if clash is not None:
        key, name, other = clash
        raise _WrongError(
            ("keys", spelt[other]), f"{key} is both {name} and {other}: give one of them another key"
        )
    if not keymap.effective(found)["enter"]:
        name = "enter" if "enter" in found else next(n for n in found if "Enter" in found[n])
        raise _WrongError(
            ("keys", spelt[name]), 'no key is left to add a line: choose one, such as enter = "Ctrl-O"'
        )


def _shown(value: Any) -> str:
    """A value nearly as it is written in the file."""
    return (
        f'"{value}"'
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else repr(value)
    )


def kinds() -> dict[str, str]:
    """Every setting with a single value, and its type."""
    return {setting.name: str(setting.type) for setting in fields(Settings) if setting.name != "keys"}


def does(name: str) -> str:
    """What a setting does."""
    return next(str(setting.metadata["does"]) for setting in fields(Settings) if setting.name == name)


def _unknown(key: str, known: Iterable[str]) -> str:
    fix = did_you_mean(key, known) or f"the settings are {', '.join(known)}"
    return f"unknown setting {key}: {fix}"


def with_value(settings: Settings, key: str, value: str, *, said: str = "") -> Settings:
    """The settings, with one of them changed to a typed value. Raises CharreplError if the value is wrong.

    `said` is how the user typed it.
    """
    kind, said = kinds().get(key), said or f"{key} {value}"
    if kind is None:
        raise CharreplError(f"/set: {_unknown(key, kinds())}")
    if kind == "str":
        parsed: Any = value.strip("\"'")
    else:
        try:
            parsed = _SWITCH[value] if kind == "bool" else int(value) if kind == "int" else float(value)
        except (KeyError, ValueError):
            raise CharreplError(f"{said}: expected {_NAMES[kind]}") from None
    changed = replace(settings, **{key: parsed})
    wrong = changed.problem()
    if wrong is not None:
        raise CharreplError(f"{said}: {wrong[1]}")
    return changed


def line_of(place: tuple[str, ...], text: str) -> int:
    """The line, from 1, of the statement that sets the value at `place` (a path of keys). tomllib hides it.

    It is the first line with which the text up to there contains that value.
    """
    import tomllib

    lines, start = text.splitlines(keepends=True), 0
    for count in range(1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue  # this line is within a statement of several lines
        for key in place:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return start + 1
        start = count
    return 1
