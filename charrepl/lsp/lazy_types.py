"""Imports `lsprotocol.types` in a tenth of the time.

It has 554 classes, and attrs writes and compiles several methods for each of them, which takes half of the
server's start. A conversation uses a third of them. So each gets its methods when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import attrs
import cattrs  # noqa: F401  (which lsprotocol imports: its own classes are no matter of ours)

_define = attrs.define


def import_types() -> None:
    """Imports them so. Call it before anything imports pygls: afterwards, it does nothing."""
    if "lsprotocol.types" in sys.modules:
        return
    attrs.define = _lazily  # type: ignore[assignment]
    try:
        importlib.import_module("lsprotocol.types")
    finally:
        attrs.define = _define
    from lsprotocol import _hooks

    _hooks._resolved_forward_references = True  # `_complete` resolves those of each class


class _Fields:
    """In the place of a class's fields, until somebody asks for them."""

    def __get__(self, instance: object, owner: type) -> Any:
        _complete(owner)
        return owner.__attrs_attrs__  # type: ignore[attr-defined]


def _lazily(cls: Any) -> Any:
    def first(self: Any, *arguments: Any, **named: Any) -> None:
        _complete(cls)
        self.__init__(*arguments, **named)

    cls.__attrs_attrs__ = _Fields()
    cls.__init__ = first
    return cls


def _complete(cls: Any) -> None:
    del cls.__attrs_attrs__, cls.__init__
    _define(cls, slots=False)  # with slots, it would be another class
    attrs.resolve_types(cls, sys.modules["lsprotocol.types"].ALL_TYPES_MAP, {})
