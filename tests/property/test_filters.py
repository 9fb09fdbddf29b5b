"""The filter language: what is written can be read, what is wrong is refused at its place, and Python and PostgreSQL
mean the same by it."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialerd import config
from dialerd.core import filters
from dialerd.core.filter_match import matches
from dialerd.core.filters import All, Comparison, Either, Filter, FilterRefused, Not, describe, outcomes_named, parse
from dialerd.store.filter_sql import condition
from dialerd.store.pool import connect

_ORDER = ("<", "<=", ">", ">=")
WORDS = ["", "a", "A", "ab", "b", "Espoo", "3", "-3.50", "3.5", "1e3", "%", "_", "\\", '"', "'", "or", "Ä", "$1", " x"]
ZONES = ["Europe/Helsinki", "Europe/Mariehamn", "America/New_York"]
TIMES = [datetime(2026, 1, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (0, 12)]
texts = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=5)
numbers = st.integers(-5, 5)
decimals = st.decimals(-100, 100, places=2, allow_nan=False)
PER_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "attempts": numbers,
    "priority": numbers,
    "last_outcome": st.sampled_from(sorted(filters.OUTCOMES)),
    "number": st.sampled_from(["+358", "+3584", "40", "+358401234567"]),
    "zone": st.sampled_from([*ZONES, "Europe/"]),
    "created_at": st.sampled_from(TIMES),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(st.sampled_from(sorted(filters.OPERATORS)))
    operator: Any = draw(st.sampled_from(filters.OPERATORS[field]))
    values = decimals if field == "custom" and operator in _ORDER else PER_FIELD.get(field, texts)
    count = 0 if operator == "empty" else draw(st.integers(1, 3)) if operator == "in" else 1
    key = draw(st.sampled_from(["city", "Home town", "or", 'a"b'])) if field == "custom" else ""
    return Comparison(field, operator, tuple(draw(values) for _ in range(count)), key)


def _joined(parts: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, parts) | st.builds(All, several) | st.builds(Either, several)


trees = st.recursive(comparisons(), _joined, max_leaves=6)
contacts = st.fixed_dictionaries({
    "attempts": st.integers(0, 5),
    "priority": numbers,
    "last_outcome": st.none() | st.sampled_from(["busy", "connected", "dnc"]),
    "last_disposition": st.none() | texts,
    "name": texts,
    "external_id": st.none() | texts,
    "list": st.none() | texts.filter(bool),
    "number": st.sampled_from(["+358401234567", "+12125550100"]),
    "zone": st.sampled_from([(), tuple(ZONES[:2]), tuple(ZONES[2:])]),
    "created_at": st.sampled_from(TIMES),
    "custom": st.dictionaries(st.sampled_from(["city", "Home town", "or"]), texts, max_size=3),
})  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_a_filter_that_was_written_is_read_as_the_same(tree: Filter) -> None:
    assert parse(describe(tree)) == tree


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_is_refused_at_a_column_of_it(text: str) -> None:
    try:
        parse(text)
    except FilterRefused as refused:
        assert 1 <= refused.column <= len(text) + 1


_ADD = """
WITH list AS (INSERT INTO lists (tenant_id, campaign_id, name, imported_by)
              SELECT 1, 1, $8, 't' WHERE $8::text IS NOT NULL RETURNING id),
     made AS (INSERT INTO contacts (tenant_id, campaign_id, attempts, priority, last_outcome, last_disposition, name,
                                    external_id, list_id, zone_set, custom, created_at)
              SELECT 1, 1, $1, $2, $3, $4, $5, $6, (SELECT id FROM list), zone_set_of($7), $9, $10 RETURNING id)
INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164) SELECT 1, 1, id, $11 FROM made RETURNING contact_id
"""


async def _select(pool: asyncpg.Pool, found: list[dict[str, Any]], tree: Filter) -> list[bool]:
    where, parameters = condition(tree, 1)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO campaigns (id, tenant_id, name, dial_mode, queue_name, trunk) OVERRIDING SYSTEM VALUE"
            " VALUES (1, 1, 'c', 'preview', 'q', 't')"
        )
        ids = []
        for number, c in enumerate(found):
            values = [c[name] for name in ("attempts", "priority", "last_outcome", "last_disposition", "name")]
            e164 = f"{c['number'][:-1]}{number}"
            values += [c["external_id"], c["zone"], c["list"], c["custom"], c["created_at"], e164]
            ids.append(await connection.fetchval(_ADD, *values))
        query = f"SELECT c.id, {where} AS passes FROM contacts c"  # noqa: S608 -- the point of this test
        answers = {row["id"]: row["passes"] for row in await connection.fetch(query, *parameters)}
        await transaction.rollback()
    return [answers[id_] for id_ in ids]


def test_python_and_postgresql_mean_the_same_by_a_filter(database: config.Postgres) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(connect(database, "tests"))

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(trees, st.lists(contacts, min_size=1, max_size=6))
        def agree(tree: Filter, found: list[dict[str, Any]]) -> None:
            seen = [{**c, "number": f"{c['number'][:-1]}{number}"} for number, c in enumerate(found)]
            assert runner.run(_select(pool, found, tree)) == [matches(tree, c) for c in seen]

        try:
            agree()
        finally:
            pool.terminate()


def test_the_example_of_the_manual_means_what_it_says() -> None:
    tree = parse(
        'attempts < 3 and last_outcome in (busy, no_answer) and not custom.city = "Espoo" and priority >= 5'
        ' and number startswith "+35840" and created_at > 2026-01-01'
    )
    good = {
        "attempts": 2, "last_outcome": "busy", "priority": 5, "number": "+358401234567",
        "created_at": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), "custom": {"city": "Vantaa"},
    }  # fmt: skip
    assert matches(tree, good)
    for name, value in {
        "attempts": 3, "last_outcome": "connected", "custom": {"city": "Espoo"}, "priority": 4,
        "number": "+358411234567", "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }.items():  # fmt: skip
        assert not matches(tree, {**good, name: value}), name


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "a field"),
        ("attempts", 9, "one of ="),
        ("attempts < x", 12, "whole number"),
        ("attempts < 999999999", 12, "whole number"),
        ("tempo = 1", 1, "a field"),
        ("name < a", 6, "one of ="),
        ("name is full", 9, "'empty'"),
        ("attempts is empty", 10, "attempts knows only"),
        ("last_outcome = bsy", 16, "no outcome is called 'bsy'"),
        ("created_at > 2026-02-30", 14, "no such date"),
        ("created_at > yesterday", 14, "a date or a time"),
        ("name in (a, b", 14, "')'"),
        ("custom = 1", 8, "'.'"),
        ("(name = a", 10, "')'"),
        ("name = a b", 10, "'and', 'or' or the end"),
        ("name = 'a'", 8, "nothing can begin with"),
        ("name = a; DROP TABLE contacts", 9, "nothing can begin with"),
        ('name = "a\x00"', 8, "nothing can begin with"),
        ("name = and", 8, "a word or a text"),
        ("name = " + "a" * 2_000, 2_001, "at most 2000"),
        ("not " * 11 + "name = a", 41, "more than 10"),
        ("(" * 11 + "name = a", 11, "more than 10"),
        ("name in (" + "a," * 100 + "a)", 210, "more than 100"),
    ],
)
def test_a_wrong_filter_is_refused_at_its_place(text: str, column: int, says: str) -> None:
    with pytest.raises(FilterRefused, match=f"column {column}: .*") as refused:
        parse(text)
    assert says in str(refused.value)


@pytest.mark.parametrize("hostile", ["' OR 1=1--", "$1", "%s", "{left}", "\\", 'x"); DROP TABLE contacts;--', "*/"])
def test_hostile_text_is_a_parameter_and_no_part_of_the_statement(hostile: str) -> None:
    tree = parse(f"name contains {json.dumps(hostile)} or custom.{json.dumps(hostile)} = {json.dumps(hostile)}")
    text, parameters = condition(tree, 3)
    assert parameters == [[hostile], hostile, [hostile]]
    assert text == (
        "((strpos(c.name, ($3::text[])[1]) > 0) OR (coalesce(c.custom ->> $4::text, '') = ANY ($5::text[])))"
    )


def test_an_outcome_is_named_by_equality_only() -> None:
    assert outcomes_named(parse("last_outcome = unknown")) == {"unknown"}
    assert outcomes_named(parse("attempts = 1 and (last_outcome in (connected, busy))")) == {"connected", "busy"}
    for text in ("last_outcome != busy", "not last_outcome = unknown", "last_outcome is empty", "name = unknown"):
        assert outcomes_named(parse(text)) == frozenset()


def test_a_decimal_is_compared_as_a_number() -> None:
    tree = parse("custom.age > 9.5")
    assert tree == Comparison("custom", ">", (Decimal("9.5"),), "age")
    assert matches(tree, {"custom": {"age": "10"}}) and not matches(tree, {"custom": {"age": "9.50"}})
    assert not matches(tree, {"custom": {"age": "ten"}}) and not matches(tree, {"custom": {}})
