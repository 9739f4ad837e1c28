"""The settings in force as a config.toml that would give them, with where each comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from charrepl.settings import keymap, model_names, settings
from charrepl.settings.settings import FILE, EffectiveSettings
from charrepl.system import paths
from charrepl.terminal import early_prompt


def as_toml(found: EffectiveSettings) -> str:
    """TOML, a setting a line: its value, where that comes from, and what it does."""
    path = paths.config_file()
    text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    lines = [f"# {path}{'' if path.exists() else ', which is not there yet'}"]
    rows = [
        (
            f"{name} = {toml(getattr(found.settings, name))}",
            f"{_source(found, name, text)}; {settings.does(name)}",
        )
        for name in settings.kinds()
    ]
    lines += _aligned(rows)
    lines += ["", '[keys]  # ACTION = KEY or a list of keys, such as "Ctrl-E"; [] for none']
    lines += _aligned(_keys(found.settings.keys, text))
    lines += ["# and these, with readline's keys unless you give them others:"]
    others = [name for name in keymap.EDITING if name not in found.settings.keys]
    lines += [f"# {' '.join(others[at : at + 6])}" for at in range(0, len(others), 6)]
    return "\n".join(lines) + "\n"


def as_json(found: EffectiveSettings) -> dict[str, Any]:
    """The same for a program."""
    return {
        "path": str(paths.config_file()),
        "settings": {name: getattr(found.settings, name) for name in settings.kinds()},
        "keys": keymap.effective(found.settings.keys),
        "sources": {name: found.sources.get(name, "default") for name in settings.kinds()},
    }


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    width = min(48, max(len(row) for row, _ in rows))
    return [f"{row:{width}}  # {said}" for row, said in rows]


def _keys(given: Mapping[str, keymap.Keys], text: str) -> list[tuple[str, str]]:
    """Each action and its keys, and where they come from."""
    rows = []
    for name, own in keymap.effective(given).items():
        usual = keymap.usual(name)
        lost = [key for key in usual if key not in own]
        if name in given:
            source = f"{FILE}, line {settings.line_of(('keys', name), text)}"
        else:
            source = "default" + (f" without {' '.join(lost)}" if lost else "")
        value = toml(own[0]) if len(own) == 1 else toml(list(own))
        rows.append((f"{name} = {value}", f"{source}; {keymap.does(name)}"))
    return rows


def _source(found: EffectiveSettings, name: str, text: str) -> str:
    source = found.sources.get(name, "default")
    if source == FILE:
        return f"{FILE}, line {settings.line_of((name,), text)}"
    if source == settings.variable(name):
        return f"environment, {source}"
    value, here = getattr(found.settings, name), ""
    if name == "model" and not value:
        here = model_names.default().name
    elif name == "colors" and value == "auto":
        from charrepl.terminal.colours import by_environment

        here = by_environment(os.environ)
    elif name == "plain" and value == "auto":
        here = "always" if early_prompt.is_dumb(os.environ) else "never"
    return f"{source}, here {here}" if here else source


def toml(value: Any) -> str:
    """A value as TOML has it."""
    # A string in JSON is one in TOML, but for this character, which no key or setting can have.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
