"""A file of caller IDs: what a row becomes, and how what is wrong with it is called."""

import pytest

from dialerd.core.callerid_file import MAX_META, Entry, EntryRefused, entries_of, notes
from dialerd.core.contactfile import Remark
from dialerd.core.textrows import FileRefused, rows

HEADER = "caller_id,carrier,area_code,daily_limit,hourly_limit,meta_json\n"


def read(text: str, region: str = "US") -> list[Entry | Remark]:
    return list(entries_of(rows([text]), region))


def reasons(text: str) -> list[str]:
    return [entry.reason if isinstance(entry, Remark) else "" for entry in read(text)]


@pytest.mark.accepts("CID-11")
def test_a_row_of_the_older_services_file_becomes_an_entry() -> None:
    text = HEADER + '+14155550123,Carrier One,415,1000,100,"{""state"": ""CA"", ""type"": ""mobile""}"\n'
    assert read(text) == [
        Entry(2, "+14155550123", "Carrier One", "415", 1000, 100, {"state": "CA", "type": "mobile"}),
    ]


def test_what_a_row_leaves_empty_it_says_nothing_of() -> None:
    assert read(HEADER + "(415) 555-0123,,,,,\n") == [Entry(2, "+14155550123")]
    assert read("caller_id\n415 555 0123\n") == read("+14155550199\n415 555 0123\n")[1:]


def test_semicolons_quotes_other_names_and_another_order_are_understood() -> None:
    text = 'Daily Limit;"Number";Meta\n5;0401234567;"{""a"": ""x;y""}"\n'
    assert read(text, "FI") == [Entry(2, "+358401234567", daily_limit=5, meta={"a": "x;y"})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1.41555E+10,,,,,", "characters"),
        ("911,,,,,", "emergency"),
        (",x,,,,", "empty"),
        ("+14155550123&PJSIP/x,,,,,", "characters"),
        ("+19005550123,,,,,", "premium"),
        ("+14155550123,,,-1,,", "limit"),
        ("+14155550123,,,1.5,,", "limit"),
        ("+14155550123,,,1000001,,", "limit"),
        ("+14155550123,,,,9999999999999,", "limit"),
        ("+14155550123," + "x" * 65 + ",,,,", "too_long"),
        ("+14155550123,a\x1bb,,,,", "control_characters"),
        ("+14155550123,,,,,[1]", "meta_json"),
        ("+14155550123,,,,,{", "meta_json"),
        ("+14155550123,,,,," + "[" * 1999, "meta_json"),
        ('+14155550123,,,,,"{""a"": NaN}"', "meta_json"),
        ('+14155550123,,,,,"{""a"": ""\\u0000""}"', "meta_json"),
        ('+14155550123,,,,,"{""a"": ""\\ud800""}"', "meta_json"),
        ('+14155550123,,,,,{"state":"CA","type":"mobile"}', "too_many_cells"),  # commas want quotes
        ('"+14155550123,,,,,', "unclosed_quote"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_the_next_one_is_taken(row: str, reason: str) -> None:
    found = read(HEADER + row + "\n+12125550142,,,,,\n")
    assert reasons(HEADER + row + "\n+12125550142,,,,,\n") == [reason, ""]
    assert [entry.row for entry in found] == [2, 3]


def test_a_number_stands_in_a_file_once() -> None:
    assert reasons("caller_id\n+14155550123\n415-555-0123\n") == ["", "duplicate_in_file"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n+14155550123,x\n", "must name the columns"),
        ("+14155550123,x\n", "must name the columns"),
        ("caller_id,daily_limt\n", "no column is called 'daily_limt'"),
        ("caller_id,number\n", "two columns mean the same"),
    ],
)
def test_a_file_without_usable_columns_is_refused_as_a_whole(text: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        read(text)


def test_a_file_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialerd.core.callerid_file.MAX_ROWS", 2)
    with pytest.raises(FileRefused, match="more than 2 rows"):
        read("caller_id\n+14155550123\nx\n+12125550142\n")


def test_notes_are_bounded() -> None:
    assert notes({"a": "x" * (MAX_META - 9)})
    with pytest.raises(EntryRefused, match="at most"):
        notes({"a": "x" * MAX_META})
