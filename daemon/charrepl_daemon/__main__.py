"""`charrepl-daemon`, and `python -m charrepl_daemon`, which starts the daemon of this very interpreter."""

from charrepl import interpreter


def run() -> None:
    """The command, in a process that imports nothing from the directory it is run in."""
    interpreter.die_of_ctrl_c()
    interpreter.leave_out_relative_places()
    interpreter.use_utf8_names()
    from charrepl_daemon.cli import main

    main(prog_name="charrepl-daemon")


if __name__ == "__main__":
    run()
