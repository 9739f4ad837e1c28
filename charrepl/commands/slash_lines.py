"""Lines that begin with a slash: whether one is a command, and what text it stands for if it is not."""

from __future__ import annotations


def literal(line: str) -> str | None:
    """The text a line stands for; None if it is a command.

    A line that names no command is text. `//` at the beginning stands for one slash of text.
    """
    if line.startswith("//"):
        return line[1:]
    return None if _name(line) in _names(line) else line


def as_typed(text: str) -> str:
    """The line to type for a text: `literal` turns it back into the text."""
    return text if literal(text) == text else "/" + text


def begins_command(line: str) -> bool:
    """Whether a line is a command, or may become one as you type on."""
    name = _name(line)
    return name is not None and any(
        known == name or (line[1:] == name and known.startswith(name)) for known in _names(line)
    )


def _name(line: str) -> str | None:
    """The name that the command would have; None if the line cannot be a command."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line.rstrip("\n"):
        return None
    return line[1:].rstrip("\n").partition(" ")[0]


def _names(line: str) -> frozenset[str]:
    if not line.startswith("/"):
        return frozenset()
    from charrepl.commands import commands  # many sessions run no command

    return commands.known()
