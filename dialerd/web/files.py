"""Files that come and go over HTTP: on disk while they are here, without a name, gone with their last reader."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from dialerd.web.errors import Problem

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


async def received_form(request: Request, path: Path, check: Callable[[Mapping[str, Any]], object]) -> str:
    """Puts the file of a form, field `file`, on disk; the name it had. `check` is given the other fields before.

    Raises `Problem` 400, 415 or 422.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(415, "content_type", "A list is sent as multipart/form-data.", "In the field 'file'.")
    try:
        form = await request.form(max_files=1, max_fields=5, max_part_size=4096)
    except HTTPException as error:
        raise Problem(400, "bad_body", f"The form cannot be read: {error.detail}"[:200]) from None
    except (ValueError, KeyError, UnicodeError):
        raise Problem(400, "bad_body", "The form cannot be read.") from None
    try:
        check({k: v for k, v in form.items() if isinstance(v, str)})
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Problem(422, "invalid", "file: missing.", "The list is the form's field 'file'.")
        await asyncio.to_thread(_save, file.file, path)
        name = "".join(c for c in file.filename or "" if c.isprintable())[:200]
        return name or "upload"
    finally:
        await form.close()


async def received_file(request: Request, path: Path, check: Callable[[Mapping[str, Any]], object]) -> str:
    """The same, and a body that is the file itself (`curl --data-binary @file -H 'content-type: text/csv'`)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/csv", "text/plain", "application/octet-stream"):
        return await received_form(request, path, check)
    check({})
    with path.open("wb") as out:
        async for chunk in request.stream():
            out.write(chunk)
    return "upload"


def _save(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(source, out)
