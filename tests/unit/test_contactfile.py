"""Contact files: what people send, and what attackers and accidents send."""

import codecs
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from dialerd.core.contactfile import Columns, Contact, Remark, contacts, contacts_of
from dialerd.core.textrows import MAX_ROW, FileRefused, delimiter_of, encoding_of, rows


def read(text: str | Iterable[str], region: str = "FI") -> list[Contact | Remark]:
    return list(contacts([text] if isinstance(text, str) else text, region))


def good(text: str | Iterable[str], region: str = "FI") -> list[Contact]:
    return [entry for entry in read(text, region) if isinstance(entry, Contact)]


def remarks(text: str) -> list[tuple[int, str, str]]:
    return [(r.row, r.column, r.reason) for r in read(text) if isinstance(r, Remark)]


def test_a_row_with_everything_becomes_a_contact() -> None:
    (one,) = good(
        "Phone,Work Phone,First Name,Last name,Priority,Customer ID,Time-Zone,City\n"
        '040 123 4567,+358 9 4737 1,Aino,"Mäki, Jr",7,C-1,Europe/Helsinki,Espoo\n'
    )
    assert [n.e164 for n in one.numbers] == ["+358401234567", "+358947371"]
    assert [n.zones for n in one.numbers] == [("Europe/Helsinki", "Europe/Mariehamn"), ("Europe/Helsinki",)]
    assert (one.row, one.name, one.priority, one.external_id) == (2, "Aino Mäki, Jr", 7, "C-1")
    assert one.custom == {"City": "Espoo"}


@pytest.mark.parametrize("header", ["phone", "Number", "TEL", "mobile", "phone_number", "Puhelin", "msisdn", "Tel. 1"])
def test_common_names_of_the_number_column_are_known(header: str) -> None:
    assert [c.row for c in good(f"{header};name\n0401234567;a\n")] == [2]


def test_a_single_column_needs_no_header() -> None:
    assert [c.row for c in good("0401234567\r\n+358 40 123 4568\r\n".replace("\r", ""))] == [1, 2]


@pytest.mark.parametrize(
    "typed", ["040 123 4567", "(040) 123-4567", "(+358) 40 1234567", "+358 (0)40 1234567", "00358401234567"]
)
def test_one_number_however_it_is_spelled(typed: str) -> None:
    assert [c.numbers[0].e164 for c in good(f"phone\n{typed}\n")] == ["+358401234567"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_out(delimiter: str) -> None:
    assert good(f'phone{delimiter}name\n0401234567{delimiter}"a,;b"\n')[0].name == "a,;b"
    assert delimiter_of(f'"a,b,c"{delimiter}d') == delimiter


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("phone\nä".encode(), "utf-8"),
        (codecs.BOM_UTF8 + b"phone", "utf-8-sig"),
        ("phone\nä".encode("utf-16"), "utf-16"),
        ("phone\nabc".encode("utf-16-le"), "utf-16-le"),
        ("phone\nabc".encode("utf-16-be"), "utf-16-be"),
        ("phone\nä".encode("cp1252"), "cp1252"),
        (b"", "utf-8"),
    ],
)
def test_encodings_are_found_out_however_the_file_is_cut(content: bytes, encoding: str) -> None:
    assert encoding_of([content]) == encoding
    if encoding in ("utf-8", "cp1252"):
        assert encoding_of(bytes([b]) for b in content) == encoding


@pytest.mark.parametrize("content", [b"PK\x03\x04xlsx", b"\x1f\x8bgzip", b"\xd0\xcf\x11\xe0xls"])
def test_spreadsheets_and_archives_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(FileRefused):
        encoding_of([content])


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("500&PJSIP/itsp/14165551212,,,", "phone", "characters"),
        ("=CMD(),,,", "phone", "characters"),
        ("١٢٣٤٥٦٧٨,,,", "phone", "characters"),
        ("3.58E+11,,,", "phone", "characters"),
        ("112,,,", "phone", "emergency"),
        ("12345,,,", "phone", "invalid"),
        ("+882 16 1234567,,,", "phone", "satellite"),
        (",a,,", "", "no_number"),
        ("0401234567,a,high,", "priority", "priority"),
        ("0401234567,a,99999999,", "priority", "priority"),
        ("0401234567,a,1,Mars/Olympus", "zone", "zone"),
        ("0401234567,a,1,../../etc/passwd", "zone", "zone"),
        ("0401234567,a\x00b,1,", "name", "control_characters"),
        ("0401234567,a\x1b]0;b,1,", "name", "control_characters"),
        ("0401234567," + "a" * 2001 + ",1,", "name", "cell_too_long"),
        ("0401234567,a,1,,extra", "", "too_many_cells"),
        ("0401234567," + "a" * 1_000_000 + ",1,", "", "row_too_long"),
        ("0401234567," + "a" * MAX_ROW + ",1,", "", "row_too_long"),
        ('0401234567,"a,1,', "", "unclosed_quote"),
    ],
)
def test_a_bad_row_is_named_and_its_neighbours_are_kept(row: str, column: str, reason: str) -> None:
    text = f"phone,name,priority,zone\n0401111111,,,\n{row}\n0402222222,,,\n"
    assert remarks(text) == [(3, column, reason)]
    assert [(c.row, c.numbers[0].e164) for c in good(text)] == [(2, "+358401111111"), (4, "+358402222222")]


def test_one_bad_number_of_several_is_reported_and_the_others_kept() -> None:
    found = read("phone,phone2,phone3\n0401234567,123,040 123 4567\n")
    assert found[0] == Remark(2, "phone2", "123", "short", "number_refused")
    assert isinstance(found[1], Contact)
    assert [n.e164 for n in found[1].numbers] == ["+358401234567"]


def test_rows_may_be_shorter_than_the_header_and_empty_lines_do_not_count() -> None:
    assert [c.row for c in good("\nphone,name\n\n0401234567\n , \n0401234568,b")] == [3 + 1, 6]


def test_quoted_cells_may_hold_line_ends() -> None:
    assert good('phone,note\n0401234567,"a\nb"\n')[0].custom == {"note": "a\nb"}


def test_strange_and_repeated_headers_are_kept_apart() -> None:
    (one,) = good("phone,__proto__,x,x,,name,name\n0401234567,1,2,3,4,5,6\n")
    assert one.custom == {"__proto__": "1", "x": "2", "x_4": "3", "column_5": "4", "name_7": "6"}
    assert one.name == "5"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n \n", "empty"),
        ("0401234567,Aino\n", "no header"),
        ("name,city\nAino,Espoo\n", "no column holds numbers"),
        (",".join(["phone"] * 201), "more than 200 columns"),
    ],
)
def test_a_file_without_anything_to_go_by_is_refused(text: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        read(text)


def test_a_rows_zone_narrows_and_never_replaces_what_the_number_says() -> None:
    (abroad, unknown) = good("phone,zone\n0401234567,America/New_York\n+800 1234 5678,Europe/Paris\n")
    assert abroad.numbers[0].zones == ("America/New_York", "Europe/Helsinki", "Europe/Mariehamn")
    assert unknown.numbers[0].zones == ("Europe/Paris",)


def mapped(text: str, mapping: dict[str, str]) -> tuple[Columns, list[Contact | Remark]]:
    found: list[Columns] = []
    entries = list(contacts_of(rows([text]), "FI", mapping, found.append))
    return found[0], entries


def test_a_mapping_says_what_columns_are_and_the_rest_is_found_out() -> None:
    text = "Soita,Phone,Kuka,Nimi,City\n0401234567,12,Aino,x,Espoo\n"
    columns, (one,) = mapped(text, {"soita": "phone", "Kuka": "name"})
    assert columns.fields == ("phone", "custom", "name", "custom", "custom")
    assert isinstance(one, Contact)
    assert (one.numbers[0].e164, one.name, one.custom) == (
        "+358401234567",
        "Aino",
        {"Phone": "12", "Nimi": "x", "City": "Espoo"},
    )


@pytest.mark.parametrize(
    ("mapping", "says"), [({"Tel": "phone"}, "no column is called 'tel'"), ({"phone": "colour"}, "no field is called")]
)
def test_a_mapping_that_does_not_fit_is_refused(mapping: dict[str, str], says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        mapped("phone,name\n0401234567,a\n", mapping)


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_the_size_of_the_chunks_makes_no_difference(size: int) -> None:
    text = 'phone,name\n0401234567,"a\n""b"""\n0401234568,c\n0401234569,"d\n0401234570,e'
    assert read(text[i : i + size] for i in range(0, len(text), size)) == read(text)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("x" * 99 + "\n", id="lines"),
        pytest.param("x" * 100, id="no line end"),
        pytest.param('"' + "x" * 99 + "\n", id="quotes"),
        pytest.param(",,,,\n" * 20, id="empty cells"),
    ],
)
def test_memory_does_not_grow_with_the_rubbish_in_a_file(line: str) -> None:
    def chunks(count: int) -> Iterator[str]:
        yield 'phone,name\n0401234567,"never closed\n'
        for _ in range(count):
            yield (line * 656)[:65_536]

    def peak(count: int) -> int:
        tracemalloc.start()
        assert sum(1 for _ in contacts(chunks(count), "FI")) > 0
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(24) < peak(6) + 65_536


def test_a_quote_that_is_open_for_100_megabytes_costs_no_memory() -> None:
    def chunks() -> Iterator[str]:
        yield 'phone,name\n0401234567,"never closed '
        for _ in range(1600):
            yield "x" * 65_536
        yield "\n0401234568,b\n"

    tracemalloc.start()
    found = [(e.row, e.reason if isinstance(e, Remark) else "") for e in contacts(chunks(), "FI")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(2, "row_too_long"), (3, "")]
    assert peak < 2_000_000
