from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from ask_expert.experts.http import new_client
from tests.fakes.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with new_client() as running:
        yield running
