"""Recognises files that are not plain text by their first bytes, and says how to extract their text."""

from __future__ import annotations

import shlex
from typing import NamedTuple

# So many first bytes of a zip archive are enough to tell which kind of document it is.
HEAD_BYTES = 4096


class Kind(NamedTuple):
    """What such a file is called, and the command that prints its text. `{}` stands for its name."""

    name: str
    command: str = ""

    def advice(self, file: str) -> str:
        """What the user can do with such a file."""
        if not self.command:
            return "name a text file"
        command = self.command.format(shlex.quote(file) if file else "FILE")
        return f"get the text out of it first, as in {command} > text.txt"


# Zip archives that are documents, by a name among their first entries.
_ZIPPED = (
    (b"word/", Kind("a Word document (docx)", "pandoc -t plain {}")),
    (b"xl/", Kind("a spreadsheet (xlsx)", "ssconvert -T Gnumeric_stf:stf_csv {} fd://1")),
    (b"ppt/", Kind("a presentation (pptx)", "pandoc -t plain {}")),
    (b"opendocument", Kind("an OpenDocument file", "pandoc -t plain {}")),
    (b"epub+zip", Kind("an e-book (epub)", "pandoc -t plain {}")),
)
_ZIP = Kind("a zip archive", "unzip -p {}")
_KINDS = (
    (b"\x1f\x8b", Kind("compressed by gzip", "gzip -dc {}")),
    (b"BZh", Kind("compressed by bzip2", "bzip2 -dc {}")),
    (b"\xfd7zXZ\0", Kind("compressed by xz", "xz -dc {}")),
    (b"\x28\xb5\x2f\xfd", Kind("compressed by Zstandard", "zstd -dc {}")),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", "7z x -so {}")),
    (b"Rar!\x1a\x07", Kind("a RAR archive", "unrar p -inul {}")),
    (b"%PDF-", Kind("a PDF document", "pdftotext {} -")),
    (b"{\\rtf", Kind("a rich text document (RTF)", "pandoc -f rtf -t plain {}")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("a document of an old Office", "catdoc {}")),
    (b"\x89PNG\r\n", Kind("a picture (PNG)")),
    (b"\xff\xd8\xff", Kind("a picture (JPEG)")),
    (b"\x7fELF", Kind("a program")),
    (b"SQLite format 3\0", Kind("a database (SQLite)")),
)


def kind(head: bytes) -> Kind | None:
    """The kind of a file that begins with `head`, if it is known and not plain text."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return next((found for name, found in _ZIPPED if name in head), _ZIP)
    if head[257:262] == b"ustar":
        return Kind("a tar archive", "tar -xOf {}")
    return next((found for magic, found in _KINDS if head.startswith(magic)), None)
