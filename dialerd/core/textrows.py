"""A text into rows of cells, whoever wrote it: encodings and delimiters are found out.

Memory stays bounded whatever the file holds: a line and a row have limits, and a quote that is never closed
spoils its own line only. Nothing is repaired silently.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_ROW = 65_536  # characters; below csv's own limit of a field


class FileRefused(ValueError):
    """The whole file cannot be read as contacts."""


@dataclass(frozen=True, slots=True)
class SpoiledRow:
    """A row that cannot be read: unclosed_quote or row_too_long, and how it begins."""

    reason: str
    text: str


def encoding_of(chunks: Iterable[bytes]) -> str:
    """The encoding of a file: by its byte order mark, UTF-8 where all of it is, else Windows' Western one.

    Raises `FileRefused` for files that are no text at all.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = True
    for chunk in chunks:
        if first:
            if known := _encoding_by_start(chunk):
                return known
            first = False
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return "cp1252"
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _encoding_by_start(head: bytes) -> str | None:
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileRefused("this is a spreadsheet or an archive: save it as CSV")
    if head.startswith(b"\x1f\x8b"):
        raise FileRefused("this file is compressed: unpack it first")
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark: ASCII in UTF-16 has a zero in every other byte.
    sample = head[:200]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[start::2]
        if len(zeros) > 3 and not any(zeros) and all(sample[1 - start :: 2]):
            return name
    return None


def delimiter_of(line: str) -> str:
    """The character between the cells of a line: the most frequent candidate outside quotes, else a comma."""
    bare = re.sub(r'"[^"]*"', "", line)
    best = max(",;\t|", key=bare.count)
    return best if best in bare else ","


class _Spoiled(Exception):
    """The row that is being read cannot become one; the text is the reason."""


class _Lines:
    """The lines of a text, cut at `MAX_ROW`; knows which of them the row in work has used."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._source = _split(chunks)
        self._again: deque[str | None] = deque()
        self._used: list[str | None] = []
        self._size = 0

    def peek(self) -> str:
        """The first line that is not empty, or the empty text."""
        for line in self._source:
            self._again.append(line)
            if line is not None and line.strip():
                return line
        return ""

    def begin_row(self) -> None:
        """The next line starts a row."""
        self._used, self._size = [], 0

    def rewind(self) -> str:
        """Give back all lines of the row in work but its first, which is returned (shortened)."""
        self._again.extendleft(reversed(self._used[1:]))
        first = self._used[0] if self._used else None
        return first[:100] if first else ""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source, "")
        if line == "":  # the end; every line has its \n
            if self._used:
                raise _Spoiled("unclosed_quote")
            raise StopIteration
        self._used.append(line)
        if line is None:
            raise _Spoiled("row_too_long" if len(self._used) == 1 else "unclosed_quote")
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _Spoiled("unclosed_quote")
        return line


def _split(chunks: Iterable[str]) -> Iterator[str | None]:
    """Lines with their \\n; None for one that is longer than `MAX_ROW`, whose text is dropped on the way."""
    rest, too_long = "", False
    for chunk in chunks:
        lines = chunk.split("\n")
        for line in lines[:-1]:
            whole = rest + line
            yield None if too_long or len(whole) >= MAX_ROW else whole + "\n"
            rest, too_long = "", False
        rest += lines[-1]
        if len(rest) >= MAX_ROW:
            rest, too_long = "", True
    if too_long:
        yield None
    elif rest:
        yield rest + "\n"


def rows(chunks: Iterable[str]) -> Iterator[tuple[int, list[str] | SpoiledRow]]:
    """The rows of a text (lines end in \\n, chunks of any size) by their number, from 1; empty lines count."""
    lines = _Lines(chunks)
    delimiter = delimiter_of(lines.peek())
    row = 0
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        row += 1
        lines.begin_row()
        try:
            yield row, next(reader)
        except StopIteration:
            return
        except (_Spoiled, csv.Error) as error:
            reason = str(error) if isinstance(error, _Spoiled) else "unclosed_quote"
            yield row, SpoiledRow(reason, lines.rewind().strip())
            reader = csv.reader(lines, delimiter=delimiter)
