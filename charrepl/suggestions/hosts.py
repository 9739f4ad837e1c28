"""The programs that ghosts are shown in, by the names that people switch them off by."""

from __future__ import annotations

HOSTS = (
    "vim",
    "neovim",
    "vscode",
    "zed",
    "jetbrains",
    "emacs",
    "minuet",
    "continue",
    "openai",  # any other client of the HTTP server
    "lsp",  # any other client of the language server
    "zsh",
    "bash",
    "fish",
    "python",
    "prompt",  # our own
)
