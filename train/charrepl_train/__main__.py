"""`charrepl-train`, and `python -m charrepl_train`."""

from charrepl_train import device
from charrepl_train.cli import main


def run() -> None:
    """The command, in a process that has huge pages to compute in where the system offers them."""
    device.use_huge_pages()
    main()


if __name__ == "__main__":
    run()
