"""`charrepl-train`, and `python -m charrepl_train`."""

import os

from charrepl.system import interpreter


def run() -> None:
    """The command, in a process with huge pages if the system offers them.

    It imports nothing from the current directory.
    """
    interpreter.begin_program()
    from charrepl_train.cli import main
    from charrepl_train.devices import jax_setup

    if "_CHARREPL_TRAIN_COMPLETE" not in os.environ:  # set when a shell completes a command line
        jax_setup.use_huge_pages()
    main(prog_name="charrepl-train")


if __name__ == "__main__":
    run()
