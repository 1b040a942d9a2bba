from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.ledger.store import Ledger


@pytest.fixture
def ledger(home: Path) -> Generator[Ledger]:
    with closing(Ledger.open(home / "ledger.db")) as opened:
        yield opened
