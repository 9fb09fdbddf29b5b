"""Files that come and go over HTTP: on disk while they are here, without a name, gone with their last reader."""

from collections.abc import Iterator
from typing import IO

from starlette.responses import StreamingResponse

_CHUNK = 65_536


def download(file: IO[bytes], name: str, media_type: str) -> StreamingResponse:
    """The whole of an open file, which is closed afterwards."""
    file.seek(0)

    def chunks() -> Iterator[bytes]:  # Starlette reads it in a thread
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    disposition = f'attachment; filename="{name}"'
    return StreamingResponse(chunks(), media_type=media_type, headers={"content-disposition": disposition})
