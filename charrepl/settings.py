"""Settings: config.toml, read and checked.

Read before the first paint, so with tomllib only; nothing is imported where there is no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from charrepl.errors import CharreplError, did_you_mean, reason
from charrepl.policy import ASSERTIVENESS

# The settings that take one of a few words.
CHOICES = {"editing_mode": ("emacs", "vi"), "assertiveness": tuple(ASSERTIVENESS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What config.toml may say, with the defaults."""

    model: str = ""  # a name or a directory; empty for the last one trained, else the bundled one
    editing_mode: str = "emacs"  # or "vi"
    assertiveness: str = "normal"  # how sure a ghost must be to be shown: "quiet", "normal" or "bold"
    temperature: float = 0.0  # 0 is greedy
    escape_timeout_ms: int = 100  # how long Esc waits to see whether it begins an Alt key

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


_KINDS = {"str": (str,), "float": (float, int), "int": (int,)}
_NAMES = {"str": "a string in quotes", "float": "a number", "int": "a whole number"}


def load(path: Path) -> Settings:
    """The settings in `path`, or the defaults where there is no such file.

    Raises CharreplError, naming the line, if the file cannot be read or says something unknown.
    """
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise CharreplError(f"cannot read {path}: {reason(error)}") from None
    return parse(source, str(path))


def parse(source: bytes, name: str) -> Settings:
    """The settings in a TOML text. Raises CharreplError as `name:line: what and the fix`."""
    import tomllib

    try:
        text = source.decode("utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        raise CharreplError(f"{name}:{line}: not UTF-8: save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        said = re.sub(r" \(at .*\)$", "", str(error))
        raise CharreplError(f"{name}:{line}: not TOML: {said}") from None
    return _checked(values, text, name)


def _checked(values: dict[str, Any], text: str, name: str) -> Settings:
    for key, value in values.items():
        where = f"{name}:{_line_of(key, text)}"
        kind = _kind(key, where)
        if not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
            raise CharreplError(f"{where}: {key} = {value!r}: expected {_NAMES[kind]}")
    settings = Settings(**values)
    wrong = settings.problem()
    if wrong is not None:
        key, expected = wrong
        raise CharreplError(f"{name}:{_line_of(key, text)}: {key} = {values[key]!r}: {expected}")
    return settings


def kinds() -> dict[str, str]:
    """Every setting, and its type."""
    return {field.name: str(field.type) for field in fields(Settings)}


def _kind(key: str, where: str) -> str:
    """The type of a setting. Raises CharreplError if there is no such setting."""
    known = kinds()
    if key not in known:
        fix = did_you_mean(key, known) or f"the settings are {', '.join(known)}"
        raise CharreplError(f"{where}: unknown setting {key}: {fix}")
    return known[key]


def with_value(settings: Settings, key: str, value: str) -> Settings:
    """The settings with one of them as a person typed it. Raises CharreplError if it cannot be that."""
    kind = _kind(key, "/set")
    if kind == "str":
        parsed: Any = value.strip("\"'")
    else:
        try:
            parsed = int(value) if kind == "int" else float(value)
        except ValueError:
            raise CharreplError(f"{key} {value}: expected {_NAMES[kind]}") from None
    changed = replace(settings, **{key: parsed})
    wrong = changed.problem()
    if wrong is not None:
        raise CharreplError(f"{key} {value}: {wrong[1]}")
    return changed


def _line_of(key: str, text: str) -> int:
    """The line that sets `key`, counted from 1. tomllib does not tell."""
    quoted = re.escape(key)
    found = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{quoted}[\"']?[ \t]*[=.\]]", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1
