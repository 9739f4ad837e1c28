"""The version of all three programs."""

__version__ = "0.1.0"
