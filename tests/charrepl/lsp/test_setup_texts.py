"""What comes with the language server for Neovim and VS Code, and what is printed about it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from charrepl import lsp as package
from charrepl.cli import lsp_command
from charrepl.lsp import settings, setup_texts
from charrepl.version import __version__

EXTENSION = Path(package.__file__).parent / "vscode"
MANIFEST = json.loads((EXTENSION / "package.json").read_text())


@pytest.mark.parametrize("name", setup_texts.NAMES)
def test_what_is_printed_names_the_files_and_the_command(name: str) -> None:
    text = setup_texts.text(name)
    assert str(EXTENSION.with_name(name)) in text and EXTENSION.with_name(name).is_dir()
    assert json.dumps(sys.executable) in text and '"lsp"' in text


def test_the_command_line_knows_them_all() -> None:
    (setup,) = [option for option in lsp_command.lsp.params if option.name == "setup"]
    assert tuple(setup.type.choices) == setup_texts.NAMES


def test_the_extension_has_the_servers_settings_and_leaves_them_at_what_they_are() -> None:
    declared = MANIFEST["contributes"]["configuration"]["properties"]
    defaults = {name.removeprefix("charrepl."): said["default"] for name, said in declared.items()}
    assert defaults.pop("command") == ["charrepl", "lsp"]
    assert set(defaults) == set(settings.EditorSettings.__struct_fields__)
    usual = settings.Effective(model="lamp", assertiveness="bold", lines=3)
    found = settings.effective(settings.parsed(defaults), usual, language="python", path=None, before="")
    assert found == usual


def test_the_extension_is_made_the_same_each_time() -> None:
    assert MANIFEST["version"] == __version__
    assert all(re.fullmatch(r"[\d.]+", version) for version in MANIFEST["devDependencies"].values())
    assert "registry" not in (EXTENSION / "package.json").read_text()
