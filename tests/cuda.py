"""Programs lowered for CUDA, which needs no GPU: what a GPU would be asked to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jax import export

CUDNN = frozenset({"cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi"})


def lowered(program: Callable[..., Any], *arguments: Any, **given: Any) -> str:
    """The text of a jitted program, lowered for CUDA with arguments of such shapes."""
    allowed = [export.DisabledSafetyCheck.custom_call(name) for name in CUDNN]
    exported = export.export(program, platforms=["cuda"], disabled_checks=allowed)(*arguments, **given)
    return exported.mlir_module()


def precisions(text: str) -> set[str]:
    """How exact a lowered program asks the products of its f32 arrays to be."""
    products = re.findall(r"dot_general .*: \(tensor<[\dx]*f32>.*", text)
    asked = [re.search(r"precision = \[(\w+), \w+\]", product) for product in products]
    return {found[1] if found else "DEFAULT" for found in asked}


def check(text: str, calls: frozenset[str] = frozenset()) -> None:
    """Asserts that a lowered program calls only so much, and never needs the host meanwhile."""
    assert "stablehlo.while" in text or "stablehlo.dot_general" in text  # it is a program
    assert set(re.findall(r"custom_call @([\w.]+)", text)) == calls
    assert not re.findall(r"\b(?:infeed|outfeed|send|recv|\w*callback\w*)\b", text)
