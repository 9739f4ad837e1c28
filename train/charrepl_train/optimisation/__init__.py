"""One training step, Muon, and the loss on text that is held out: pure functions of the state.

`run` calls them. Nothing here knows of files or the time.
"""
