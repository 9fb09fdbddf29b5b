"""The Redis client: bounded in connections and in time. Redis holds only what may be lost (rule 6)."""

from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError

from dialerd import config

CONNECTIONS = 16


def connect(settings: config.Redis) -> Redis:
    """A client; nothing is connected before its first command. Close it with `aclose()`.

    A command that finds its connection closed is sent once more on a new one: every command of ours may be repeated.
    Raises ValueError when the URL carries a password (it would end up in logs).
    """
    if urlsplit(settings.url).password is not None:
        raise ValueError("redis.url carries a password: put it into redis.password")
    pool = BlockingConnectionPool.from_url(
        settings.url,
        password=settings.password.get_secret_value() if settings.password else None,
        max_connections=CONNECTIONS,
        timeout=settings.timeout_seconds,  # for a free connection
        socket_timeout=settings.timeout_seconds,
        socket_connect_timeout=settings.timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        decode_responses=True,
        client_name="dialerd",
    )
    return Redis.from_pool(pool)


async def problem(client: Redis) -> str | None:
    """None when Redis answers, else in a few words why not, for /health."""
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None
