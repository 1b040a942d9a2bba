"""Every test runs without keys, in its own home, on loopback only."""

import os
import socket
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.databases import blank, database, ledger, postgres, template, where

__all__ = ["blank", "database", "ledger", "postgres", "template", "where"]

# No test is timed: a busy machine would fail what is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_LOOPBACK = ("127.", "localhost", "::1")
_connect = socket.socket.connect


def _guarded(self: socket.socket, address: Any) -> None:
    host = "127." if isinstance(address, str | bytes) else str(address[0])
    if not host.startswith(_LOOPBACK):
        raise AssertionError(f"a test tried to reach {host}")
    _connect(self, address)


@pytest.fixture(autouse=True)
def _only_loopback(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("real_model") is None:
        monkeypatch.setattr(socket.socket, "connect", _guarded)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        ours = name.startswith("ASK_EXPERT_") and name != "ASK_EXPERT_CACHE"
        if ours or name.endswith(("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD")):
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, also for the processes that a test starts."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("ASK_EXPERT_HOME", str(folder))
    return folder


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"
