from collections.abc import Callable

import pytest

from ask_expert.redaction import Marks, Masker


@pytest.fixture(scope="session")
def masker() -> Masker:
    return Masker()


@pytest.fixture(scope="session")
def masked(masker: Masker) -> Callable[[str], str]:
    """Mask a text as the first of its thread."""
    return lambda text: masker.mask(text, Marks(key=b"home"))
