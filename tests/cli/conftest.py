from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> Path:
    """No command of a test reads the settings of whoever runs the tests."""
    return home
