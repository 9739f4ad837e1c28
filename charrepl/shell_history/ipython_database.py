"""IPython's history: a SQLite database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from charrepl.errors import CharreplError, reason

MAGIC = b"SQLite format 3\0"
_CELLS = """
    SELECT history.source_raw, sessions.start FROM history LEFT JOIN sessions USING (session)
    ORDER BY history.session, history.line
"""


def rows(path: Path) -> Iterator[tuple[str, float | None]]:
    """The cells, the oldest first, each with the time at which its session began; as far as they can be read.

    Raises CharreplError if it is another database, or cannot be opened.
    """
    import sqlite3  # few histories need it

    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)
        ) as database:
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            cells = database.execute(_CELLS)
            with contextlib.suppress(sqlite3.DatabaseError):  # damaged from here on
                for source, start in cells:
                    yield str(source), _seconds(start)
    except sqlite3.Error as error:
        raise CharreplError(
            f"{path} is a database, but no history of IPython's ({reason(error)}): "
            "name a shell's history file"
        ) from None


def _seconds(start: str | None) -> float | None:
    try:
        return datetime.fromisoformat(start).timestamp() if start else None
    except (ValueError, OverflowError):
        return None
