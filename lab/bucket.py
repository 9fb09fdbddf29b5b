"""A server that speaks S3's protocol, for tests: moto's, which is a fake of Amazon's. It keeps objects in memory, takes
any key, and does not check what requests are signed over: a real HTTP round trip, and no proof of anybody's bucket."""

import contextlib
import http.client
import sys
import time
from pathlib import Path

from lab.processes import Process
from lab.services import START_SECONDS, STOP_SECONDS, ServiceFailed, free_port

BUCKET = "recordings"


class BucketServer:
    """`with BucketServer(folder) as server:` — it has one empty bucket inside."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = Process(argv, folder / "bucket.log")
        self._log = folder / "bucket.log"

    @property
    def url(self) -> str:
        """With the bucket."""
        return f"http://127.0.0.1:{self.port}/{BUCKET}"

    def start(self) -> None:
        """Start, and make the bucket. Raises `ServiceFailed`."""
        self._process.start()
        limit = time.monotonic() + START_SECONDS
        while self.request("PUT", f"/{BUCKET}") != 200:
            if time.monotonic() > limit or not self._process.running():
                raise ServiceFailed(f"no bucket:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """With all that it holds."""
        self._process.stop(STOP_SECONDS)

    def request(self, method: str, path: str, body: bytes | None = None) -> int:
        """The status of a request past everybody; 0: it is away."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request(method, path, body)
            return connection.getresponse().status
        return 0

    def __enter__(self) -> "BucketServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
