"""
Run the server beside the process that the client started, so that it can outlive it.

Clients end a server hard: the official SDKs close its input, send SIGTERM two seconds
later, and kill its process group after two more. A paid call that takes longer would
be lost with it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def is_possible() -> bool:
    """Return whether a process can leave its client's group here."""
    return os.name == "posix" and bool(sys.executable)


def serve_outliving(arguments: Sequence[str]) -> int:
    """
    Serve in a session of its own, on the same input and output; return its status.

    The server ends when its input does, and once its paid calls are booked. This
    process only waits for it and passes signals on.
    """
    # `-P`: a folder `ask_expert` in the client's working folder is not imported.
    command = [sys.executable, "-P", "-m", "ask_expert", "serve", "--no-daemon"]
    server = subprocess.Popen([*command, *arguments], start_new_session=True)  # noqa: S603
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: server.send_signal(got))
    status = server.wait()
    return status if status >= 0 else 128 - status
