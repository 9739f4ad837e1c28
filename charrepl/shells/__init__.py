"""Ghosts at a shell's prompt: the scripts that `charrepl shell` prints, in each shell's own language.

They ask by the line protocol. Nothing here runs while a shell does.
"""
