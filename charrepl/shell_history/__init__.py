"""What you typed in shells before: their history files, of any kind, without what looks like a secret.

Used by training and by `charrepl eval`. It reads files that belong to others, and never writes one.
"""

from __future__ import annotations

LEAST_COMMANDS = 200  # to learn from at all
