"""Starts Python for another of our programs. It imports the same modules as an installed command.

It imports nothing from the current directory, which may contain a `click.py` or a `random.py` of the user,
or be another copy of this project.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# These are meant for another program, and would change how ours end or what they print. Other variables say
# where Python and its packages are. They stay as the user set them.
_NOT_HANDED_ON = {
    "PYTHONINSPECT",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONSTARTUP",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
}


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as a program. Use it with `environment`."""
    isolation = {"-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site, "-P": True}
    return [sys.executable, *(option for option, on in isolation.items() if on), "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of this process, for `command`.

    Relative and empty entries of PYTHONPATH are left out: they mean another directory wherever a program
    runs. File names and output are UTF-8, whatever the locale is, because another of our programs reads them.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    places = kept.pop("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(place for place in places if not _is_relative(place))
    if absolute:
        kept["PYTHONPATH"] = absolute
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def begin_program() -> None:
    """What each of our programs does first, before other imports."""
    die_of_ctrl_c()
    leave_out_relative_places()
    use_utf8_names()


def use_utf8_names() -> None:
    """Starts this process again with file names in UTF-8, if the locale has another encoding.

    The libraries that read and write models know only UTF-8. Input and output keep the locale's encoding.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    stream = sys.stdout or sys.stdin or sys.stderr
    if stream is not None and not os.environ.get("PYTHONIOENCODING"):
        os.environ["PYTHONIOENCODING"] = stream.encoding
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def leave_out_relative_places() -> None:
    """Removes the current directory and PYTHONPATH's relative entries from `sys.path`.

    Call it before anything is imported from there. The place where we are installed stays.
    """
    named = os.environ.get("PYTHONPATH")
    try:
        left_out = {
            Path(place).absolute() for place in (named or "/").split(os.pathsep) if _is_relative(place)
        }
        if Path(sys.path[0]).absolute() == Path.cwd():  # as with `python -m`
            left_out.add(Path.cwd())
    except OSError:  # it has been removed
        return
    sys.path[:] = [place for place in sys.path if Path(place).absolute() not in left_out or _is_ours(place)]


def die_of_ctrl_c() -> None:
    """Makes Ctrl-C end the process immediately until a command begins. So imports print no traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def heed_ctrl_c() -> None:
    """Makes Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_ours(place: str) -> bool:
    own = Path(__file__).parents[2]
    return Path(place) in (own, own / "daemon", own / "train") or any(
        Path(place).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix)
    )


def _is_relative(place: str) -> bool:
    return not Path(place).is_absolute()
