"""The command `charrepl stats`: how many keys ghosts saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from charrepl.cli.exit_codes import exit_codes
from charrepl.cli.options import debug_option, json_option, print_json
from charrepl.system.standard_streams import echo

if TYPE_CHECKING:
    from charrepl.suggestions.keys_saved import ByDay, Counts


@click.command()
@click.option(
    "--days", type=click.IntRange(1), default=7, show_default=True, help="How many of the last days to list."
)
@json_option
@debug_option
@exit_codes
def stats(days: int, as_json: bool, debug: bool) -> None:
    """Print how many keys ghosts saved you, by program and day. Only counts are kept, no text."""
    from charrepl.suggestions.keys_saved import KeysSaved

    found = KeysSaved().read()
    if as_json:
        print_json(_plainly(found, days))
        return
    for line in _lines(found, days):
        echo(line)


def _plainly(found: ByDay, days: int) -> dict[str, Any]:
    from charrepl.suggestions.keys_saved import by_host

    def plain(hosts: dict[str, Counts]) -> dict[str, dict[str, int]]:
        return {host: {**_fields(counts), "saved": counts.saved} for host, counts in hosts.items()}

    listed = {day: plain(found[day]) for day in list(found)[-days:]}
    return {"since": next(iter(found), None), "hosts": plain(by_host(found)), "days": listed}


def _fields(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}


def _lines(found: ByDay, days: int) -> Iterator[str]:
    from charrepl.suggestions.keys_saved import by_host, total

    if not found:
        yield "no ghosts yet: type in charrepl, or in an editor, a shell or a Python prompt that has ghosts"
        return
    hosts = by_host(found)
    since = next(iter(found))
    rows = [(f"since {since}", "ghosts", "taken", "characters", "keys saved")]
    rows += [_row(host, counts) for host, counts in hosts.items()]
    if len(hosts) > 1:
        rows.append(_row("all", total(hosts.values())))
    for day in list(found)[-days:]:
        rows += [("", "", "", "", ""), (day, "", "", "", "")]
        rows += [_row(host, counts) for host, counts in by_host({day: found[day]}).items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _row(name: str, counts: Counts) -> tuple[str, str, str, str, str]:
    numbers = (counts.shown, counts.taken, counts.characters, counts.saved)
    shown, taken, characters, saved = (f"{number:,}" for number in numbers)
    return name, shown, taken, characters, saved
