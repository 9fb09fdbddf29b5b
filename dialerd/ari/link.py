"""The connection to Asterisk's REST interface: one websocket of events in, requests out.

Guarantees: events are handed on in order and without waiting (a slow listener would kill asyncari's client); a clean
close counts as a loss (F8); being replaced by another daemon under the same app name is told apart from a loss (F9);
after a loss it connects again by itself and says so, and the engine reconciles.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

import anyio
import structlog
from asyncari.client import Client
from asyncswagger11.processors import SwaggerError
from wsproto.events import TextMessage

from dialerd.ari.transport import AriError, AriUnreachable, Transport
from dialerd.clock import Clock
from dialerd.config import Ari
from dialerd.core.backoff import backoff
from dialerd.core.reconcile import Channel
from dialerd.core.status import Link, LinkState

log = structlog.get_logger(__name__)

_LEG_SECONDS = str(16 * 3600)  # no channel of ours lives for ever; an agent's leg may live for a long working day
_PAIR_SECONDS = 5  # for the two halves of a Local channel to find each other
_NO_EVENT = (json.JSONDecodeError, RecursionError)  # a frame that is none: the connection is given up, and made anew
_REPLACED = "ApplicationReplaced"
EventHandler = Callable[[Mapping[str, Any]], None]


class _Client(Client):  # type: ignore[misc]  # asyncari is untyped
    """asyncari's client without its object model: the plain event goes to us (the models cost 0.4 ms a call)."""

    def __init__(
        self, task_group: anyio.abc.TaskGroup, url: str, app: str, transport: Transport, on_event: EventHandler
    ):
        super().__init__(task_group, url, app, transport)
        self._on_event = on_event

    async def _init(self, *args: Any) -> None:
        """Reads the description of the interface, which decides what can be called."""
        try:
            await super()._init(*args)
        except (LookupError, TypeError, AttributeError, ValueError, SwaggerError) as error:
            raise ConnectionError(f"what answers there is no ARI: {error!r:.100}") from error

    async def _run(self, evt: Any = None) -> None:
        """Reads events until the websocket ends. asyncari's own loop passes each event through a second task that
        watches the time: two turns of ours later, and an eighth of the daemon's work."""
        ws = await self.swagger.events.eventWebsocket(app=self.app)
        if evt is not None:
            evt.set()
        try:
            async for message in ws:
                if not isinstance(message, TextMessage):
                    return
                event = json.loads(message.data)
                if isinstance(event, dict) and "type" in event:
                    self._on_event(event)
        finally:
            with anyio.CancelScope(shield=True):
                await ws.close()


class AriLink:
    """Keeps the connection up. Its verbs raise `AriError` (Asterisk said no; 404: gone) or `AriUnreachable`.

    `wanted`: the types of events that are asked for. Of the others there are twice as many, one for each variable that
    a dialplan sets first of all; Asterisk need not write them, nor we read them. None: all.
    """

    def __init__(
        self,
        config: Ari,
        clock: Clock,
        on_event: EventHandler,
        on_change: Callable[[], None],
        wanted: Collection[str] = (),
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_event = on_event
        self._wanted = [{"type": kind} for kind in (*wanted, _REPLACED)] if wanted else []
        self._on_change = on_change
        self._client: _Client | None = None
        self._transport: Transport | None = None
        self._failures = 0
        self.replaced = asyncio.Event()  # another daemon took the app: this one must stop
        self.status = Link("ari", "connecting", clock.now())

    @property
    def up(self) -> bool:
        """Whether events arrive and requests can be sent."""
        return self._client is not None

    async def run(self) -> None:
        """Connects, stays, reconnects; ends by cancellation, or when another daemon took the app."""
        while not self.replaced.is_set():
            try:
                await self._live()
            except* (OSError, TimeoutError, AriError, anyio.ClosedResourceError, *_NO_EVENT) as group:
                if not self.replaced.is_set():
                    self._set("down", f"Asterisk's ARI at {self._config.url}: {_words(group)}")
            await asyncio.sleep(backoff(self._failures, random.random()))  # noqa: S311 - jitter, no secret
            self._failures += 1

    async def _live(self) -> None:
        config = self._config
        transport = Transport(config.username, config.password.get_secret_value(), config.timeout_seconds)
        try:
            async with anyio.create_task_group() as group:
                base = config.url.rstrip("/").removesuffix("ari")
                async with asyncio.timeout(config.timeout_seconds * 3):
                    client = _Client(group, base, config.app, transport, self._receive)
                    await client.__aenter__()
                    await self._want(transport)
                self._client, self._transport = client, transport
                self._failures = 0
                self._set("up", "")
                if transport.websocket is not None:
                    await transport.websocket.closed.wait()
                raise ConnectionError("the event websocket closed")
        finally:
            self._client = self._transport = None
            await transport.close()

    async def _want(self, transport: Transport) -> None:
        """Asks for the wanted events only. An Asterisk that cannot do that sends more, which is no harm."""
        url = f"{self._config.url.rstrip('/')}/applications/{self._config.app}/eventFilter"
        try:
            body, headers = json.dumps({"allowed": self._wanted}), {"Content-Type": "application/json"}
            await transport.request("PUT", url, data=body, headers=headers)
        except AriError as error:
            log.warning("ari.unfiltered", error=str(error), does="Asterisk sends every event, which costs time")

    def _receive(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == _REPLACED:
            self.replaced.set()
            self._set("down", f"another process took the ARI app '{self._config.app}': stop one of the two")
        self._on_event(event)

    def _set(self, state: LinkState, detail: str) -> None:
        if (state, detail) != (self.status.state, self.status.detail):
            self.status = Link("ari", state, self._clock.now(), detail)
            (log.info if state == "up" else log.warning)("ari.link", state=state, detail=detail)
        self._on_change()

    def _api(self) -> Any:
        if self._client is None:
            raise AriUnreachable(self.status.detail or "the ARI connection is not up")
        return self._client.swagger

    # -- channels -------------------------------------------------------------------------------------------------

    async def channels(self) -> list[Channel]:
        """Every channel of this Asterisk."""
        found = (await self._api().channels.list()).json()
        return [
            Channel(
                c["id"], c["state"], c.get("accountcode", ""), c.get("dialplan", {}).get("app_name") == "Stasis",
                c.get("dialplan", {}).get("context", ""),
            )
            for c in found
        ]  # fmt: skip

    async def hang_up(self, channel: str) -> None:
        """Ends a channel; one that is gone already is fine."""
        await self._unless_gone(self._api().channels.hangup(channelId=channel))

    async def to_dialplan(self, channel: str) -> None:
        """Lets a channel go on at the line after Stasis(): the safe-harbour message."""
        await self._unless_gone(self._api().channels.continueInDialplan(channelId=channel))

    async def to_context(self, channel: str, context: str, number: str) -> None:
        """Lets a channel go on at a number in a context of ours."""
        go_on = self._api().channels.continueInDialplan
        await self._unless_gone(go_on(channelId=channel, context=context, extension=number, priority=1))

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Sets a channel variable."""
        await self._api().channels.setChannelVar(channelId=channel, variable=name, value=value)

    async def variable(self, channel: str, name: str) -> str:
        """A channel variable; empty where it is not set, or the channel is gone."""
        try:
            return str((await self._api().channels.getChannelVar(channelId=channel, variable=name)).json()["value"])
        except AriError as error:
            if error.status != 404:
                raise
            return ""

    async def call_in(self, attempt: str, caller: str, number: str, app: str, account: str, seconds: int) -> None:
        """Makes the attempt's channel for somebody who called us (their channel: `caller`): a Local pair, whose near
        half goes the way of every answered call and whose far half takes the caller up, in [dialerd-returned]."""
        await self._api().channels.originateWithId(
            channelId=attempt,
            otherChannelId=f"{attempt};2",
            endpoint="Local/s@dialerd-returned/n",
            context="dialerd-answered",
            extension="s",
            priority=1,
            callerId=number,
            timeout=_PAIR_SECONDS,
            variables={
                "CHANNEL(accountcode)": account, "DIALERD_APP": app, "DIALERD_AMD": "0",
                "DIALERD_MAX_SECONDS": str(seconds), "__DIALERD_CALLER": caller,
            },
        )  # fmt: skip

    async def call_phone(
        self, channel: str, endpoint: str, agent_id: int, account: str, seconds: int, shows: str = "dialerd"
    ) -> None:
        """Calls an agent's phone, a PJSIP endpoint or `<number>@<endpoint>`; it enters our app as `agent,<agent_id>`
        when it answers. `shows`: the caller ID."""
        await self._api().channels.originateWithId(
            channelId=channel,
            endpoint=f"PJSIP/{endpoint}",
            app=self._config.app,
            appArgs=f"agent,{agent_id}",
            timeout=seconds,
            callerId=shows,
            variables={"CHANNEL(accountcode)": account, "TIMEOUT(absolute)": _LEG_SECONDS},
        )

    async def call_third(
        self, channel: str, endpoint: str, agent_id: int, account: str, seconds: int, shows: str, lives: int
    ) -> None:
        """Calls a third party, for a call of this agent; it enters our app as `third,<agent_id>` when it answers.
        `endpoint`: with its technology; `shows`: the caller ID; `lives`: seconds, at most."""
        await self._api().channels.originateWithId(
            channelId=channel,
            endpoint=endpoint,
            app=self._config.app,
            appArgs=f"third,{agent_id}",
            timeout=seconds,
            callerId=shows,
            variables={"CHANNEL(accountcode)": account, "TIMEOUT(absolute)": str(lives)},
        )

    async def snoop(self, channel: str, snoop: str, *, whisper: bool) -> None:
        """Makes a channel that hears both sides of another one; what is said into it is heard by nobody, or, with
        `whisper`, by that one alone. It enters our app as `snoop`."""
        await self._api().channels.snoopChannelWithId(
            channelId=channel,
            snoopId=snoop,
            spy="both",
            whisper="out" if whisper else "none",
            app=self._config.app,
            appArgs="snoop",
        )

    async def leave_message(self, channel: str, sound: str) -> None:
        """Sends a channel where the dialplan plays a sound file to it and hangs up."""
        await self._api().channels.setChannelVar(channelId=channel, variable="DIALERD_BROADCAST", value=sound)
        await self._api().channels.continueInDialplan(
            channelId=channel, context="dialerd-broadcast", extension="s", priority=1
        )

    async def play(self, channel: str, playback: str, sound: str) -> None:
        """Begins to play a sound file, by Asterisk's name for it; its end comes as an event. A 404: no such channel."""
        await self._api().channels.playWithId(channelId=channel, playbackId=playback, media=f"sound:{sound}")

    async def stop_playing(self, playback: str) -> None:
        """Ends a sound; one that has ended is fine."""
        await self._unless_gone(self._api().playbacks.stop(playbackId=playback))

    async def record(self, channel: str, name: str, seconds: float, silence_seconds: float) -> None:
        """Begins to record what a channel says, after a beep, until a key or silence; its end comes as an event."""
        await self._api().channels.record(
            channelId=channel, name=name, format="wav", maxDurationSeconds=int(seconds),
            maxSilenceSeconds=int(silence_seconds), ifExists="fail", beep="true", terminateOn="any",
        )  # fmt: skip

    async def mute(self, channel: str) -> None:
        """What a channel says is heard by nobody."""
        await self._api().channels.mute(channelId=channel, direction="in")

    async def unmute(self, channel: str) -> None:
        """The end of `mute`; a channel that is gone is fine."""
        await self._unless_gone(self._api().channels.unmute(channelId=channel, direction="in"))

    async def send_dtmf(self, channel: str, digits: str) -> None:
        """Plays keys to a channel: 0 to 9, *, #, A to D."""
        await self._api().channels.sendDTMF(channelId=channel, dtmf=digits)

    # -- bridges --------------------------------------------------------------------------------------------------

    async def bridges(self) -> dict[str, list[str]]:
        """Every bridge of this Asterisk: id → the channels in it."""
        found = (await self._api().bridges.list()).json()
        return {b["id"]: list(b["channels"]) for b in found}

    async def make_bridge(self, bridge: str) -> None:
        """Makes a mixing bridge of this id; one that is there already is fine. Media and keys go through Asterisk: with
        two channels joined natively keys may not be told, and one that has been moved often hears nothing more."""
        await self._make("mixing,dtmf_events,proxy_media", bridge)

    async def make_waiting_room(self, bridge: str) -> None:
        """Makes a bridge whose people hear music, and not each other; one that is there already is fine."""
        await self._make("holding", bridge)
        await self._api().bridges.startMoh(bridgeId=bridge)

    async def _make(self, kind: str, bridge: str) -> None:
        try:
            await self._api().bridges.createWithId(bridgeId=bridge, type=kind, name=bridge)
        except AriError as error:
            if error.status != 409:  # it exists
                raise

    async def end_waiting_room(self, bridge: str) -> None:
        """Takes it down; one that is gone already is fine. The music first: with it the bridge would live on for a
        while, half dead, and a new one of its name would go with it (seen with 22.10)."""
        await self.stop_music(bridge)
        await self.end_bridge(bridge)

    async def play_music(self, bridge: str, music: str = "") -> None:
        """Music to everybody in a bridge; `music`: the class, "" Asterisk's default."""
        await self._api().bridges.startMoh(bridgeId=bridge, **({"mohClass": music} if music else {}))

    async def ring(self, bridge: str, playback: str) -> None:
        """Lets everybody in a bridge hear that somebody's phone rings, until `stop_playing`."""
        await self._api().bridges.playWithId(bridgeId=bridge, playbackId=playback, media="tone:ring")

    async def stop_music(self, bridge: str) -> None:
        """The end of it; none, or no such bridge, is fine."""
        try:
            await self._api().bridges.stopMoh(bridgeId=bridge)
        except AriError as error:
            if error.status not in (404, 409):
                raise

    async def join(self, bridge: str, channel: str) -> None:
        """Puts a channel into a bridge: one request, and the two people hear each other."""
        await self._api().bridges.addChannel(bridgeId=bridge, channel=channel)

    async def leave(self, bridge: str, channel: str) -> None:
        """Takes a channel out of a bridge; it stays in our app. One that is not in it, or gone, is fine."""
        try:
            await self._api().bridges.removeChannel(bridgeId=bridge, channel=channel)
        except AriError as error:
            if error.status not in (400, 404, 409, 422):
                raise

    async def end_bridge(self, bridge: str) -> None:
        """Takes a bridge down; one that is gone already is fine, and so is one of which there is but the name (409), as
        long as somebody lives who was moved from it into another one."""
        try:
            await self._api().bridges.destroy(bridgeId=bridge)
        except AriError as error:
            if error.status not in (404, 409):
                raise

    async def announce(self, bridge: str, playback: str, sound: str) -> None:
        """Begins to play a sound file to everybody in a bridge; its end comes as an event."""
        await self._api().bridges.playWithId(bridgeId=bridge, playbackId=playback, media=f"sound:{sound}")

    # -- recordings -----------------------------------------------------------------------------------------------

    async def listen(self, channel: str, recorder: str) -> None:
        """Makes a channel that hears both sides of another one, to be recorded; it enters our app as `record`, and ends
        with the other one."""
        await self._api().channels.snoopChannelWithId(
            channelId=channel, snoopId=recorder, spy="both", app=self._config.app, appArgs="record"
        )

    async def tape(self, channel: str, recording: str) -> None:
        """Begins to record what a channel of our app hears, as a WAV file in Asterisk's own folder."""
        await self._api().channels.record(channelId=channel, name=recording, format="wav", ifExists="fail")

    async def stop_recording(self, recording: str) -> None:
        """Ends a recording; one that has ended is fine."""
        await self._unless_gone(self._api().recordings.stop(recordingName=recording))

    async def mute_recording(self, recording: str) -> None:
        """From here on it holds silence, in the place of what is said. A 404: none of this name is under way."""
        await self._api().recordings.mute(recordingName=recording)

    async def unmute_recording(self, recording: str) -> None:
        """The end of it."""
        await self._api().recordings.unmute(recordingName=recording)

    async def is_recording(self, recording: str) -> bool:
        """Whether something of this name is being recorded."""
        try:
            await self._api().recordings.getLive(recordingName=recording)
        except AriError as error:
            if error.status != 404:
                raise
            return False
        return True

    async def recordings(self) -> list[str]:
        """The names of all files in Asterisk's folder of recordings, those that are still being written too."""
        return [str(stored["name"]) for stored in (await self._api().recordings.listStored()).json()]

    async def read_recording(self, recording: str) -> AsyncIterator[bytes]:
        """A file of that folder, piece by piece."""
        if self._transport is None:
            raise AriUnreachable(self.status.detail or "the ARI connection is not up")
        base = self._config.url.rstrip("/")
        async for chunk in self._transport.stream(f"{base}/recordings/stored/{recording}/file"):
            yield chunk

    async def delete_recording(self, recording: str) -> None:
        """Deletes such a file; one that is gone already is fine."""
        await self._unless_gone(self._api().recordings.deleteStored(recordingName=recording))

    async def _unless_gone(self, request: Any) -> None:
        try:
            await request
        except AriError as error:
            if error.status != 404:
                raise


def _words(group: BaseExceptionGroup[Exception]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or ("no answer in time" if isinstance(first, TimeoutError) else type(first).__name__)
