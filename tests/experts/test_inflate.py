import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts.inflate import Inflater, UnreadableError


def inflated(encoding: str, *chunks: bytes) -> bytes:
    inflater = Inflater(encoding)
    found = b"".join(part for chunk in chunks for part in inflater.feed(chunk))
    inflater.end()
    return found


@given(
    plain=st.binary(max_size=500),
    cut=st.integers(0, 600),
    packing=st.sampled_from(["gzip", "deflate", " GZIP ", "identity", ""]),
)
def test_what_was_packed_comes_out_however_it_is_chopped_up(
    plain: bytes, cut: int, packing: str
) -> None:
    packers = {"gzip": gzip.compress, "deflate": zlib.compress}
    packed = packers.get(packing.strip().lower(), bytes)(plain)

    assert inflated(packing, packed[:cut], packed[cut:]) == plain


def test_a_bomb_comes_out_a_megabyte_at_a_time() -> None:
    bomb = gzip.compress(b"\0" * 64_000_000)

    parts = Inflater("gzip").feed(bomb)
    first = [len(next(parts)) for _ in range(3)]

    assert first == [1_000_000] * 3


def test_exactly_a_megabyte_is_all_of_it() -> None:
    plain = b"x" * 1_000_000

    assert inflated("gzip", gzip.compress(plain)) == plain


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 99])
def test_a_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(UnreadableError, match="unasked"):
        Inflater(encoding)


def test_broken_and_unfinished_compression_is_known() -> None:
    with pytest.raises(UnreadableError, match="broken"):
        inflated("gzip", b"no gzip at all")
    with pytest.raises(UnreadableError, match="in the middle"):
        inflated("gzip", gzip.compress(b"x" * 100)[:-4])
