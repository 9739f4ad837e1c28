"""What every host of ghosts gets: the suggestions worth showing, the off switch, and counts of keys saved.

A host is a program that people write in: an editor, a shell, a Python prompt. Servers for them import from
here; our own prompt has a session instead. Nothing here knows HTTP, LSP or a terminal, or imports JAX.
"""
