"""Python, started again for another of our programs: what it imports is what an installed command does.

Nothing comes from the directory a user happens to be in, which may have a `click.py` or a `random.py` of
theirs, or be another copy of this project.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# They are meant for one program, and would change how ours end or what they say. The others say where Python
# and its packages are: those are the user's.
_NOT_HANDED_ON = {
    "PYTHONINSPECT",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONSTARTUP",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
}


def command(module: str, *arguments: str) -> list[str]:
    """The words that run a module as a program, to be given `environment`."""
    isolation = {"-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site, "-P": True}
    return [sys.executable, *(option for option, on in isolation.items() if on), "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of this process, for `command`.

    What is relative in PYTHONPATH, or empty, is left out: it is another directory wherever a program runs.
    File names and what is said are UTF-8 to it, whatever the locale is: another of our programs reads them.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    places = kept.pop("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(place for place in places if not _is_relative(place))
    if absolute:
        kept["PYTHONPATH"] = absolute
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def begin_program() -> None:
    """What each of our programs does first, before it imports more than this module."""
    die_of_ctrl_c()
    leave_out_relative_places()
    use_utf8_names()


def use_utf8_names() -> None:
    """Starts this process again with file names in UTF-8, where the locale has another encoding.

    The libraries that read and write models know no other. What is typed and shown stays in the locale's.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    stream = sys.stdout or sys.stdin or sys.stderr
    if stream is not None and not os.environ.get("PYTHONIOENCODING"):
        os.environ["PYTHONIOENCODING"] = stream.encoding
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def leave_out_relative_places() -> None:
    """Takes the current directory out of `sys.path`, and what is relative in PYTHONPATH.

    To be called before anything is imported from there. Where we are installed ourselves stays.
    """
    named = os.environ.get("PYTHONPATH")
    try:
        left_out = {
            Path(place).absolute() for place in (named or "/").split(os.pathsep) if _is_relative(place)
        }
        if Path(sys.path[0]).absolute() == Path.cwd():  # as `python -m` has it
            left_out.add(Path.cwd())
    except OSError:  # it has been removed
        return
    sys.path[:] = [place for place in sys.path if Path(place).absolute() not in left_out or _is_ours(place)]


def die_of_ctrl_c() -> None:
    """Has a Ctrl-C end the process at once, until a command begins: no traceback of an import."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def heed_ctrl_c() -> None:
    """Has a Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_ours(place: str) -> bool:
    own = Path(__file__).parents[2]
    return Path(place) in (own, own / "daemon", own / "train") or any(
        Path(place).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix)
    )


def _is_relative(place: str) -> bool:
    return not Path(place).is_absolute()
