"""Free text for a channel variable: what cannot stand in one is left out, so that the rest is inert anywhere.

A dialplan puts variables into expressions, application arguments and other variables' names; whatever has a meaning
there (quotes, commas, brackets, $, ;, &, |) must not arrive at all.
"""

import re
import unicodedata

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 _.-]+", re.ASCII)
_SPACES = re.compile(r" +")


def plain(text: str, limit: int = 80) -> str:
    """At most `limit` of a text's letters, digits, spaces and `_.-`; accents go (`José` is `Jose`), and so does every
    letter of another script: of `علی` nothing is left."""
    letters = unicodedata.normalize("NFKD", text[: 4 * limit])
    return _SPACES.sub(" ", _NOT_PLAIN.sub("", letters)).strip(" .-")[:limit].rstrip()


def word(text: str, limit: int = 80) -> str:
    """The same as one word: spaces become `_`."""
    return plain(text, limit).replace(" ", "_")
