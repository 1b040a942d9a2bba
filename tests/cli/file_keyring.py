"""A keyring in a plain file, for tests; `PYTHON_KEYRING_BACKEND` names it."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    """Keeps entries in the file that `TEST_KEYRING_FILE` names."""

    priority = 1.0  # pyright: ignore[reportAssignmentType]  # as keyring's own backends do
    name = "a file for tests"  # pyright: ignore[reportAssignmentType]  # ditto

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        entries = {**self._entries(), f"{service}/{username}": password}
        self._file().write_text(json.dumps(entries))

    def _entries(self) -> dict[str, str]:
        file = self._file()
        return json.loads(file.read_text()) if file.exists() else {}

    def _file(self) -> Path:
        return Path(os.environ["TEST_KEYRING_FILE"])
