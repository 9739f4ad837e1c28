"""The ghost: what the grey text after the cursor is, whether it is worth showing, and where it is cut.

The daemon, the prompt and the evaluation import it, so that all decide alike. It is pure: no terminal,
no wire.
"""
