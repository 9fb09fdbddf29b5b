"""Named queries: the form of their files, and that a missing name stops an import."""

import pytest

from dialerd.store.queries import BadQueryFile, Queries, parse


def test_a_file_gives_its_queries_with_their_comments() -> None:
    text = "-- A remark.\n\n-- name: one\n-- Says one.\nSELECT 1;\n\n-- name: two\n-- Two.\nSELECT\n  2;\n"
    assert parse("f.sql", text) == {"one": "-- Says one.\nSELECT 1;", "two": "-- Two.\nSELECT\n  2;"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1;", "no '-- name"),
        ("-- name: one\nSELECT 1;", "'one' has no comment"),
        ("-- name: one\n-- Nothing follows.\n", "'one' has no statement"),
        ("-- name: one\n", "'one' has no comment"),
        ("-- name: One!\n-- x\nSELECT 1", "'One!' is not a query name"),
        ("-- name: a\n-- x\nSELECT 1\n-- name: a\n-- x\nSELECT 2", "two queries are named 'a'"),
    ],
)
def test_a_broken_file_is_refused_by_file_and_query(text: str, says: str) -> None:
    with pytest.raises(BadQueryFile, match=r"^f\.sql: ") as caught:
        parse("f.sql", text)
    assert says in str(caught.value)


def test_a_missing_name_says_which_file_lacks_it() -> None:
    with pytest.raises(AttributeError, match=r"f\.sql has no query 'two'"):
        _ = Queries("f.sql", {"one": "SELECT 1"}).two
