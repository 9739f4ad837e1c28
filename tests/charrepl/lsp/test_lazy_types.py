"""The protocol's types, imported the quick way, are what they are otherwise."""

from __future__ import annotations

import subprocess
import sys

SAY = """\
import attrs
from lsprotocol import converters, types
converter = converters.get_converter()
start = types.Range(types.Position(1, 2), types.Position(line=1, character=3))
assert start == types.Range(types.Position(1, 2), types.Position(1, 3)) != types.Position(1, 2)
item = {"insertText": "a", "range": converter.unstructure(start), "command": {"title": "t", "command": "c"}}
print(converter.structure({"items": [item]}, types.InlineCompletionList))
for name, cls in sorted(types.ALL_TYPES_MAP.items()):
    if isinstance(cls, type) and attrs.has(cls):
        print(name, [(field.name, field.type, field.default) for field in attrs.fields(cls)])
"""
LAZILY = "from charrepl.lsp import lazy_types; lazy_types.import_types()\n"


def test_each_type_has_its_fields_and_works() -> None:
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for code in (SAY, LAZILY + SAY)
    ]
    assert said[0] == said[1] and said[0].count("\n") > 500
