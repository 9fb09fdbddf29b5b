"""A real Chromium without a window, steered over its DevTools protocol: for pages that people look at."""

import asyncio
import base64
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

SECONDS = 20.0  # for anything that is waited for
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab. `problems`: what the page's scripts threw, and what its security policy refused."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session = ""
        self.problems: list[str] = []

    async def read(self) -> None:
        """Takes what the browser says; runs beside everything else."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]["exceptionDetails"])[:300])
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(said["params"]["entry"]["text"])

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Asks the browser; its answer."""
        id_ = next(self._ids)
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": id_, "method": method, "params": params, **session})
        async with asyncio.timeout(SECONDS):
            said = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def open(self) -> None:
        """A new tab, to be steered from now on."""
        target = await self.command("Target.createTarget", url="about:blank")
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """The window, and which colours its user likes."""
        phone = width < 500
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def go(self, address: str) -> None:
        """Opens an address, and waits until it is there."""
        await self.command("Page.navigate", url=address)
        path = address.partition("://")[2].partition("/")[2].partition("?")[0]
        await self.until(f"document.readyState === 'complete' && location.pathname === '/{path}'")

    async def run(self, script: str) -> Any:
        """The value of a script in the page."""
        answer = await self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Waits until a script's value is true."""

        async def holds() -> bool:
            try:
                return bool(await self.run(script))
            except AssertionError:  # between two documents
                return False

        await until(holds, script)

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """A screenshot."""
        said = await self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(said["data"]))


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits for something, with a limit."""
    try:
        async with asyncio.timeout(SECONDS):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {SECONDS:.0f} s: {what}") from None


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A browser of its own, with one tab."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium: make setup"
    folder = Path(tempfile.mkdtemp())
    process = await asyncio.create_subprocess_exec(
        program,
        *_FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    reading: asyncio.Task[None] | None = None
    try:
        port_file = folder / "DevToolsActivePort"

        async def written() -> bool:
            return port_file.exists() and port_file.read_text().count("\n") == 1

        await until(written, "Chromium is up")
        port, path = port_file.read_text().split("\n")
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=1 << 28) as socket,
        ):
            page = Page(socket)
            reading = asyncio.create_task(page.read())
            await page.open()
            yield page
            await page.command("Browser.close")
    finally:
        if reading is not None:
            reading.cancel()
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
