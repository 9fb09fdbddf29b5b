"""Live figures of the campaigns in Redis, for boards and foreign readers: a hash each, and a channel of events.

Redis may be lost at any moment: then the figures are old, and nothing else happens.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

CHANNEL = "dialer:events"


@dataclass(frozen=True, slots=True)
class CampaignFigures:
    """The hash `campaign:{id}`, field by field; a time that has not come yet is the empty string there."""

    campaign_id: int
    status: str
    active_calls: int
    total_calls: int
    answered_calls: int
    started_at: datetime | None
    completed_at: datetime | None

    def fields(self) -> dict[str, str | int]:
        """As it stands in Redis; times in ISO 8601."""
        return {
            "status": self.status,
            "active_calls": self.active_calls,
            "total_calls": self.total_calls,
            "answered_calls": self.answered_calls,
            "started_at": self.started_at.isoformat() if self.started_at else "",
            "completed_at": self.completed_at.isoformat() if self.completed_at else "",
        }


@dataclass(frozen=True, slots=True)
class CampaignEvent:
    """A message of the channel: `campaign:started:1`."""

    kind: Literal["started", "paused", "stopped", "completed"]
    campaign_id: int

    def message(self) -> str:
        """The message's text."""
        return f"campaign:{self.kind}:{self.campaign_id}"


class LiveFigures:
    """Publishes figures; never raises for a lost Redis, and logs an outage once."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._out = False

    async def publish_figures(self, campaigns: Iterable[CampaignFigures], events: Iterable[CampaignEvent] = ()) -> bool:
        """One round trip for all, figures before events, so that who hears an event reads its figures. False: lost."""
        pipeline = self._client.pipeline(transaction=False)
        for campaign in campaigns:
            pipeline.hset(f"campaign:{campaign.campaign_id}", mapping=dict(campaign.fields().items()))
        for event in events:
            pipeline.publish(CHANNEL, event.message())
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            if not self._out:
                log.warning("live figures are not published", error=f"{type(error).__name__}: {error}"[:200])
            self._out = True
            return False
        if self._out:
            log.info("live figures are published again")
            self._out = False
        return True
