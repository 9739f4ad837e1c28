"""Which default model the prompt opened last, so that it says when another becomes the default."""

from __future__ import annotations

import contextlib

from charrepl.settings import model_names
from charrepl.system import paths


def announcement(name: str) -> str:
    """What to say when the prompt opens the default model `name`. Empty unless it opened another before."""
    file = paths.data_dir() / "opened"
    try:
        before = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        before = ""
    if before == name:
        return ""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(f"{name}\n", encoding="utf-8")
    if before not in [path.name for path in model_names.installed()]:  # no earlier model, or it is gone
        before = model_names.BUNDLED
    return "" if before == name else f"charrepl opens {name} now, trained last: /model {before} goes back"
