"""`charrepl-daemon`, and `python -m charrepl_daemon`, which starts the daemon with the same interpreter."""

from charrepl.system import interpreter


def run() -> None:
    """The command, in a process that imports nothing from the current directory."""
    interpreter.begin_program()
    from charrepl_daemon.cli.main import main

    main(prog_name="charrepl-daemon")


if __name__ == "__main__":
    run()
