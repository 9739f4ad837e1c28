"""Which languages are prose, and where code is a comment, as far as one can tell without a parser."""

from __future__ import annotations

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# By the names that editors have for them.
PROSE = _names(
    "asciidoc bibtex context git-commit gitcommit help html latex mail markdown norg org pandoc plaintext "
    "quarto restructuredtext rmd rst rtf tex text textile txt typst vimwiki"
)
_SLASHES = _names(
    "c cpp cs csharp cuda cuda-cpp d dart fsharp go groovy java javascript javascriptreact jsonc kotlin less "
    "objc objcpp objective-c objective-cpp odin php proto rust scala scss solidity swift systemverilog "
    "typescript typescriptreact v verilog zig"
)
_LINE_COMMENTS = {
    "#": _names(
        "bash cmake coffeescript conf crystal csh cython dockerfile elixir fish gdscript gitignore graphql "
        "hcl julia just make makefile nim nix nu nushell perl php powershell ps1 puppet python r ruby sh "
        "shellscript starlark tcl terraform toml yaml zsh"
    ),
    "//": _SLASHES,
    "--": _names("ada elm haskell lua purescript sql vhdl"),
    ";": _names("asm clojure commonlisp dosini elisp emacs-lisp ini lisp racket scheme"),
    "%": _names("erlang matlab octave prolog"),
}
_BLOCK_COMMENTS = _SLASHES | {"css", "sql"}
_ENOUGH = 4000  # characters, in which a block comment is looked for


def is_comment(language: str, before: str) -> bool:
    """Whether the end of a text in a language is in a comment."""
    line = before.rpartition("\n")[2]
    for mark, languages in _LINE_COMMENTS.items():
        if language in languages:
            for found in re.finditer(rf"(?:^|(?<=\s)){mark}", line):
                if line.count('"', 0, found.start()) % 2 == 0:  # else it is in a string
                    return True
    near = before[-_ENOUGH:]
    return language in _BLOCK_COMMENTS and near.rfind("/*") > near.rfind("*/")
