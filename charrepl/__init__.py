"""Ghost text from a character-level LSTM: the REPL, the client and the wire. Never imports jax."""

__version__ = "0.1.0"
