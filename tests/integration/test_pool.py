"""The sessions of our pools."""

import asyncpg


async def test_sessions_do_not_compile_their_statements(pool: asyncpg.Pool) -> None:
    """With jit a claim of 100 contacts among 150,000 took 2.5 s, without it 0.012 s."""
    assert await pool.fetchval("SHOW jit") == "off"
