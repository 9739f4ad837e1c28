"""`charrepl`, and `python -m charrepl`."""

from charrepl import interpreter


def run() -> None:
    """The command, in a process that imports nothing from the directory it is run in."""
    interpreter.die_of_ctrl_c()
    interpreter.leave_out_relative_places()
    interpreter.use_utf8_names()
    from charrepl.cli import main

    main(prog_name="charrepl")


if __name__ == "__main__":
    run()
