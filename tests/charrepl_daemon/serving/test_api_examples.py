"""docs/api.md: every example in it does what it says, and importing charrepl stays cheap."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import charrepl

SECTIONS = re.split(
    r"^## `(\w+)`$", (Path(__file__).parents[3] / "docs/api.md").read_text(), flags=re.MULTILINE
)
EXAMPLES = {
    name: textwrap.dedent("".join(re.findall(r"^(?: {4}.*)?\n", text, re.MULTILINE)))
    for name, text in zip(SECTIONS[1::2], SECTIONS[2::2], strict=True)
}
# What a reader of the example should see, where it says something at once.
SEEN = {"Client": "kettle", "AsyncClient": "fill", "CharreplError": "nobody"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(shared_daemon, name, capsys):
    assert re.search(rf"import .*\b{name}\b", EXAMPLES[name]) or name == "Completion"
    exec(compile(EXAMPLES[name], "docs/api.md", "exec"), {})
    assert SEEN.get(name, "") in capsys.readouterr().out


def test_what_is_public_is_what_the_document_says():
    assert sorted(EXAMPLES) == sorted(charrepl.__all__)
    assert [name for name in EXAMPLES if getattr(charrepl, name).__name__ != name] == []


def test_importing_charrepl_imports_nothing_else():
    before_and_after = (
        "import sys; before = set(sys.modules); import charrepl; print(*sorted(set(sys.modules) - before))"
    )
    said = subprocess.run(
        [sys.executable, "-c", before_and_after], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["charrepl", "charrepl.version"]
