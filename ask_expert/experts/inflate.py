"""Undo a reply's compression, piece by piece, so that a bomb is never inflated."""

import zlib
from collections.abc import Iterator

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_MOST_AT_ONCE = 1_000_000


class UnreadableError(Exception):
    """What has come cannot be read on; its text goes on from "the reply"."""


class Inflater:
    """
    Takes compressed bytes and gives plain ones.

    Raises:
        UnreadableError: The encoding is none that was asked for.
    """

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise UnreadableError(f"is compressed as {encoding[:40]!r}, unasked")
        plain = encoding in {"", "identity"}
        self._inflater = None if plain else zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """
        Yield the plain bytes in `raw`, a megabyte at a time at most.

        Raises:
            UnreadableError: The compression is broken.
        """
        if self._inflater is None:
            yield raw
            return
        while not self._inflater.eof:
            try:
                plain = self._inflater.decompress(raw, _MOST_AT_ONCE)
            except zlib.error as error:
                raise UnreadableError("has broken compression") from error
            raw = self._inflater.unconsumed_tail
            if plain:
                yield plain
            if not raw and len(plain) < _MOST_AT_ONCE:
                return

    def end(self) -> None:
        """
        Check that nothing is missing.

        Raises:
            UnreadableError: The end of the compressed bytes did not come.
        """
        if self._inflater is not None and not self._inflater.eof:
            raise UnreadableError("ends in the middle of its compression")
