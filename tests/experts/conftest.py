from collections.abc import Iterator

import pytest

from tests.fakes.provider import Provider


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running
