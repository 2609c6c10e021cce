"""A position in the first bytes of a GGUF file: nothing is read past its end, no length is believed unchecked."""

from __future__ import annotations

import struct

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")


class GgufError(Exception):
    """Why a file is not read, as the end of the sentence 'it is …'. The tree is drawn in gguf.py."""


class NotGguf(GgufError):
    """Something else, or a form of GGUF that nobody writes any more."""


class OldGgml(GgufError):
    """The format before GGUF."""


class TooNew(GgufError):
    """A version or tensor type that this reader does not know."""


class Truncated(GgufError):
    """The file, or the part of it at hand, is too short; `needs` bytes from its beginning are the least."""

    def __init__(self, message: str, *, needs: int) -> None:
        super().__init__(message)
        self.needs = needs


class Hostile(GgufError):
    """What the header says cannot be true, or is made to exhaust the reader."""


class Cursor:
    """Reads little-endian values one after the other. `limit`: the longest header in bytes."""

    def __init__(self, data: bytes, *, limit: int) -> None:
        self.position = 0
        self._data = data
        self._limit = limit

    def take(self, length: int, what: str) -> bytes:
        """The next bytes. Raises Truncated, and Hostile where they would lie past the limit."""
        end = self.position + length
        self._require(end, what)
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def uint32(self, what: str) -> int:
        value: int = _UINT32.unpack(self.take(4, what))[0]
        return value

    def uint64(self, what: str) -> int:
        value: int = _UINT64.unpack(self.take(8, what))[0]
        return value

    def count(self, what: str, most: int) -> int:
        """A number of things to follow. Raises Hostile for more than `most`."""
        number = self.uint64(what)
        if number > most:
            raise Hostile(f"{number} {what}, more than {most}")
        return number

    def string(self, what: str, most: int) -> str:
        """Text of at most `most` bytes. Raises Hostile for a longer one and for what is not UTF-8."""
        length = self.count(f"bytes in {what}", most)
        try:
            return self.take(length, what).decode("utf-8")
        except UnicodeDecodeError:
            raise Hostile(f"{what} is not UTF-8") from None

    def skip_strings(self, number: int, what: str, most: int) -> None:
        """Pass `number` strings without looking at them; a vocabulary has 150,000, so this loop is kept bare."""
        data, position, size = self._data, self.position, len(self._data)
        # Each has its length before it: whoever claims too many is found out before the first.
        self._require_claim(position + 8 * number, what)
        read_length = _UINT64.unpack_from
        for _ in range(number):
            if position + 8 > size:
                self._require(position + 8, what)
            length = read_length(data, position)[0]
            if length > most:
                raise Hostile(f"{length} bytes in one string of {what}")
            position += 8 + length
        self._require(position, what)
        self.position = position

    def _require(self, end: int, what: str) -> None:
        self._require_claim(end, what)
        if end > len(self._data):
            raise Truncated(f"it ends within {what}", needs=end)

    def _require_claim(self, end: int, what: str) -> None:
        if end > self._limit:
            raise Hostile(f"{what} reaches {end} bytes into a header that has at most {self._limit}")
