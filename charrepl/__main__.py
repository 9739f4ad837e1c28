"""`charrepl`, and `python -m charrepl`."""

from charrepl.system import interpreter


def run() -> None:
    """The command, in a process that imports nothing from the current directory."""
    interpreter.begin_program()
    from charrepl.cli.main import main

    main(prog_name="charrepl")


if __name__ == "__main__":
    run()
