"""Ghosts at a shell's prompt: the scripts that `charrepl shell` prints, in each shell's own language.

They ask by the line protocol. Beside them, `charrepl learn`, which a new shell may begin in the background.
"""
