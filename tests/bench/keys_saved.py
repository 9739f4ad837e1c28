"""What ghosts save a writer of text that the bundled model has not read: `make bench-keys CORPUS=FILE`.

Cuts the corpus as charrepl-train does, and has `charrepl eval` type the first 20,000 held-out characters. The
baselines know what the model learnt from, without the dev slice. No figure of it is a time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text.split import Range, split
from tests.bench import results
from tests.bench.daemon_speed import COMMAND, places

WRITERS = {
    "charrepl": "ghosts",
    "plain": "ghosts that do not adapt",
    "ngram": "character n-gram",
    "history": "history of lines",
}


def rows(found: dict[str, Any]) -> list[results.Row]:
    """A row for each writer and assertiveness, of what `charrepl eval --json` prints."""
    return [
        {
            "suggestions": name,
            "assertiveness": assertiveness,
            "saved_percent": _percent(figures["keystroke_savings"]),
            "shown_percent": _percent(figures["shown"]),
            "first_word_right_percent": _percent(figures["first_word_precision"]),
            "calibration_error": None
            if figures["calibration_error"] is None
            else round(figures["calibration_error"], 3),
        }
        for writer, name in WRITERS.items()
        for assertiveness, figures in found.get(writer, {}).items()
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def bits(found: dict[str, Any]) -> list[results.Row]:
    """Bits a character of the same text."""
    return [
        {"reading": reading, "bits_per_character": round(found[key], 3)}
        for reading, key in (
            ("the model alone", "bits_per_character"),
            ("adapting to the text", "adapting_bits_per_character"),
        )
    ]


def _part(text: str, ranges: Sequence[Range]) -> str:
    return "".join(text[start:stop] for start, stop in ranges)


def held_out(text: str) -> str:
    """What `charrepl-train` sets aside of a text, so that no model of it has read it."""
    return _part(text, split([len(text)], TrainingConfig()).held_out)


def main() -> None:
    """Prints what `charrepl eval --json` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    results.add_option(parser)
    arguments = parser.parse_args()
    text = arguments.corpus.read_text(encoding="utf-8")
    parts = split([len(text)], TrainingConfig())
    with places() as place:
        known, typed = place / "train.txt", place / "held-out.txt"
        known.write_text(_part(text, parts.train), encoding="utf-8")
        typed.write_text(_part(text, parts.held_out), encoding="utf-8")
        command = [sys.executable, "-m", "charrepl", "eval", str(typed), "--baseline-corpus", str(known)]
        try:
            done = subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE, text=True)
        finally:
            subprocess.run([*COMMAND, "stop"], check=False, stdout=subprocess.DEVNULL)
    print(done.stdout, end="")
    found = json.loads(done.stdout)
    results.write(arguments.results, "keys_saved", rows(found))
    results.write(arguments.results, "bits", bits(found))


if __name__ == "__main__":
    main()
