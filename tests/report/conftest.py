from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from ask_expert.ledger.store import Ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[Ledger]:
    """The home's own empty ledger, in each kind of database."""
    where: Path | str = home / "ledger.db"
    if request.param == "postgresql":
        where = cast("str", request.getfixturevalue("database"))
        monkeypatch.setenv("ASK_EXPERT_LEDGER", where)
    with closing(Ledger.open(where)) as opened:
        yield opened
