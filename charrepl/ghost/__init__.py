"""The ghost: the grey text after the cursor, whether it is worth showing, and where it is cut.

The daemon, the prompt and the evaluation import it, so that all decide in the same way. It is pure: no
terminal, no wire.
"""
