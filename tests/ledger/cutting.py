"""A door to a server that loses the connection at a chosen word of the client."""

import contextlib
import re
import socket
import threading
from typing import Literal

Cut = Literal["before", "after"]

_COMMIT = re.compile(rb"COMMIT(?!TED)")


class CuttingProxy:
    """
    Passes bytes on to a server on loopback until the client says COMMIT.

    `arm("before")` drops the connection instead of passing the word on;
    `arm("after")` passes it on, waits until the server has answered, and drops the
    connection without passing the answer back. It does so once.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._cut: Cut | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut) -> None:
        """Lose the connection at the next COMMIT."""
        self._cut = cut

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        heard = threading.Event()
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            back = threading.Thread(
                target=_answer, args=[server, client, heard], daemon=True
            )
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    cut = self._cut if _COMMIT.search(data) else None
                    if cut is not None:
                        self._cut = None
                    if cut == "before":
                        break
                    if cut == "after":
                        heard.set()
                    server.sendall(data)
                    if cut == "after":
                        # The end of input lets the server finish, and then go.
                        server.shutdown(socket.SHUT_WR)
                        back.join(10)
                        break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _answer(
    server: socket.socket, client: socket.socket, heard: threading.Event
) -> None:
    """Pass the server's answers back, until what is heard is not passed on."""
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            if not heard.is_set():
                client.sendall(data)
