"""The markers that fill-in-the-middle models are prompted with: what stands before and after the cursor."""

from __future__ import annotations

from typing import NamedTuple

# Of each family of models: before the text in front of the cursor, before that behind it, and in the end. The
# suffix may come first.
_MARKERS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, Codegemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<PRE> ", " <SUF>", " <MID>"),  # Code Llama
    ("<PRE>", "<SUF>", "<MID>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    ("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),  # Codestral, which has the suffix first and no end
)
_FILES = ("<|file_sep|>", "<file_sep>", "<|repo_name|>", "<filename>")


class AroundCursor(NamedTuple):
    """A text in two parts."""

    before: str
    after: str


def unwrapped(prompt: str, suffix: str = "") -> AroundCursor:
    """What is before and after the cursor in a prompt that may be wrapped in markers.

    Without them, the prompt and `suffix`.
    """
    for prefix_mark, suffix_mark, middle_mark in _MARKERS:
        if prefix_mark in prompt and suffix_mark in prompt:
            # What comes before the markers are other files, or the suffix.
            ahead, _, text = prompt.partition(prefix_mark)
            if suffix_mark in text:
                before, _, after = text.partition(suffix_mark)
                after = after.partition(middle_mark)[0]
            else:
                before = text.partition(middle_mark)[0]
                after = ahead.partition(suffix_mark)[2]
            return AroundCursor(_without_file_name(before), after)
    return AroundCursor(prompt, suffix)


def _without_file_name(before: str) -> str:
    """A text without the name of its file, which a marker says."""
    for mark in _FILES:
        if before.startswith(mark):
            return before.partition("\n")[2]
    return before
