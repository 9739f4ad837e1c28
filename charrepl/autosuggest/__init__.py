"""Ghosts in Python prompts and in any other application that is made with prompt_toolkit.

`GhostSuggest` is public; docs/guide/python-prompts.md says how it gets into IPython, ptpython and xonsh. A
key waits at most 50 ms, whatever happens to the daemon. Nothing here prints or raises while somebody types.
"""

from charrepl.autosuggest.ghost_suggest import GhostSuggest as GhostSuggest

__all__ = ["GhostSuggest"]
