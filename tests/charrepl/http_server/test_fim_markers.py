"""Prompts that are wrapped for a fill-in-the-middle model."""

from __future__ import annotations

import pytest

from charrepl.http_server.fim_markers import AroundCursor, unwrapped


@pytest.mark.parametrize(
    "prompt",
    [
        "<|fim_prefix|>be warm<|fim_suffix|>\nCOOK:<|fim_middle|>",
        "<fim_prefix>be warm<fim_suffix>\nCOOK:<fim_middle>",
        "<fim-prefix>be warm<fim-suffix>\nCOOK:<fim-middle>",
        "<PRE> be warm <SUF>\nCOOK: <MID>",
        "<PRE>be warm<SUF>\nCOOK:<MID>",
        "<｜fim▁begin｜>be warm<｜fim▁hole｜>\nCOOK:<｜fim▁end｜>",
        "<|code_prefix|>be warm<|code_suffix|>\nCOOK:<|code_middle|>",
        "[SUFFIX]\nCOOK:[PREFIX]be warm",
        "<fim_suffix>\nCOOK:<fim_prefix>be warm<fim_middle>",
        "<|repo_name|>x\n<|file_sep|>a.txt\nother\n<|fim_prefix|>be warm<|fim_suffix|>\nCOOK:<|fim_middle|>",
        "<fim_prefix><filename>a.txt\nbe warm<fim_suffix>\nCOOK:<fim_middle>",
    ],
)
def test_a_wrapped_prompt_is_what_is_before_and_after_the_cursor(prompt: str) -> None:
    assert unwrapped(prompt) == AroundCursor("be warm", "\nCOOK:")


def test_any_other_prompt_is_the_text_itself() -> None:
    assert unwrapped("a <fim_prefix> alone", "rest") == AroundCursor("a <fim_prefix> alone", "rest")
