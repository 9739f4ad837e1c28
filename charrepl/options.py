"""What the options of our commands have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FloatRange(click.FloatRange):
    """A range that nan, which is neither below nor above it, is outside of."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


# Of minutes or of epochs: above nothing, and below what overflows where it is multiplied.
AMOUNT = FloatRange(0, 1_000_000, min_open=True)


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the models whose names begin so, or the directories."""
    from click.shell_completion import CompletionItem

    from charrepl import models

    if models.is_path(incomplete):
        return [CompletionItem(incomplete, type="dir")]
    names = [directory.name for directory in models.installed()]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
