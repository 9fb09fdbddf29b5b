"""Statistics kept in Redis for two seconds, so that many boards cost one query. A lost Redis costs only that."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

KEEP_SECONDS = 2


async def cached(
    client: Redis, tenant_id: int, campaign_id: int, compute: Callable[[], Awaitable[Mapping[str, Any]]]
) -> dict[str, Any]:
    """A campaign's figures, at most `KEEP_SECONDS` old. What `compute` raises is raised, and not kept."""
    key = f"dialerd:stats:{tenant_id}:{campaign_id}"
    try:
        kept = await client.get(key)
    except (RedisError, OSError, TimeoutError):
        return dict(await compute())
    if kept is not None:
        found: dict[str, Any] = json.loads(kept)
        return found
    fresh = dict(await compute())
    with suppress(RedisError, OSError, TimeoutError):
        await client.set(key, json.dumps(fresh), ex=KEEP_SECONDS)
    return fresh
