"""The scan API for external systems, after KATA's: files are scanned by YARA rules.

Under ``/kata/scanner/v1/sensors/<external system id>/``:

* ``POST scans``: a file as ``multipart/form-data``, with ``scanId`` and ``objectType=file``;
* ``GET scans/state``: the results so far, filtered by ``sensorInstanceId`` and ``state``;
* ``DELETE scans/<scan id>`` and ``DELETE scans``: forget results;
* ``GET scans/filters``: what is scanned at all.

``sensorInstanceId`` may be a parameter or a field of the form, since clients send both.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import PlainTextResponse, Response

from deodar.edr import web
from deodar.edr.errors import BadRequest, NotKnown, TooManyRequests
from deodar.edr.scanning.scans import RETRY_AFTER, STATES, NewScan
from deodar.kit.body import BodyTooLarge, BodyTooSlow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

    from starlette.datastructures import FormData

    from deodar.edr.entrance import Asked
    from deodar.edr.scanning.service import Scanning

INSTANCE, SCAN_ID = "sensorInstanceId", "scanId"
UPLOAD_TIME = 600.0
_UPLOADS = 4
_OVERHEAD = 64 << 10
"""Bytes of a form beside its file."""
_LONGEST_ID = 128
_BLOCK = 1 << 20
_TAIL = 64


class ScanApi:
    """The application behind those URLs, for callers who were let in."""

    def __init__(self, scanning: Scanning) -> None:
        self._scanning = scanning
        self._uploads = asyncio.Semaphore(_UPLOADS)

    async def answer(self, asked: Asked) -> Response:
        """Answer one request; raises BadRequest, NotKnown, BodyError, TooManyRequests."""
        method = asked.request.method.replace("HEAD", "GET")
        match (method, asked.words[1:]):
            case ("POST", ()):
                return await self._take(asked)
            case ("GET", ("state",)):
                return await self._state(asked)
            case ("GET", ("filters",)):
                return web.answer(self._filters())
            case ("DELETE", ()):
                await self._remove(asked, None)
                return PlainTextResponse("OK")
            case ("DELETE", (scan_id,)):
                if not await self._remove(asked, scan_id):
                    raise NotKnown(f"no result for the scan '{scan_id[:_LONGEST_ID]}'")
                return PlainTextResponse("OK")
            case (_, () | ("state",) | ("filters",) | (_,)):
                return web.refusal(405, "Method Not Allowed")
        return web.refusal(404, "Not Found")

    async def _state(self, asked: Asked) -> Response:
        states = [text.strip() for text in asked.query.get("state", "").split(",") if text.strip()]
        for state in states:
            if state not in STATES:
                raise BadRequest(f"state '{state[:40]}' is none of {', '.join(STATES)}")
        found = await asyncio.to_thread(
            self._scanning.scans.of, asked.system, asked.query.get(INSTANCE), states
        )
        if not found:
            return Response(status_code=204)
        return web.answer(
            {"scans": [{SCAN_ID: scan.scan_id, "state": scan.state} for scan in found]}
        )

    async def _remove(self, asked: Asked, scan_id: str | None) -> int:
        instance = asked.query.get(INSTANCE)
        remove = self._scanning.scans.remove
        return await asyncio.to_thread(remove, asked.system, instance, scan_id)

    def _filters(self) -> dict[str, object]:
        return {
            "objectTypes": ["file"],
            "minFileSize": 1,
            "maxFileSize": self._scanning.settings.max_file_bytes,
        }

    async def _take(self, asked: Asked) -> Response:
        if await asyncio.to_thread(self._scanning.room) <= 0:
            raise TooManyRequests(
                "Number of requests exceeded: the files that wait take all the room", RETRY_AFTER
            )
        async with self._uploads:
            try:
                async with asyncio.timeout(UPLOAD_TIME):
                    await self._upload(asked)
            except TimeoutError as error:
                raise BodyTooSlow(f"the form was not complete in {UPLOAD_TIME:g} s") from error
        return PlainTextResponse("OK")

    async def _upload(self, asked: Asked) -> None:
        largest = self._scanning.settings.max_file_bytes
        stream = _Bounded(asked.request.stream(), largest + _OVERHEAD)
        parser = MultiPartParser(asked.request.headers, stream.parts(), max_files=2, max_fields=16)
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, UnicodeDecodeError) as error:
            text = getattr(error, "message", "") or "it is no multipart/form-data"
            raise BadRequest(f"the form cannot be read: {text}") from error
        try:
            if not stream.is_whole:
                raise BadRequest("the form breaks off: its last line is missing")
            loop = asyncio.get_running_loop()
            submitted = loop.run_in_executor(self._scanning.uploads, self._submit, asked, form)
            self._scanning.begin(await submitted)
        finally:
            await form.close()

    def _submit(self, asked: Asked, form: FormData) -> int:
        """Keep the form's file; returns its number. Raises BadRequest, TooManyRequests."""
        kind = _field(form, "objectType") or "file"
        if kind != "file":
            raise BadRequest(f"objectType '{kind[:40]}' is not file")
        scan_id = _id(form, asked.query, SCAN_ID)
        if not scan_id:
            raise BadRequest(f"{SCAN_ID} is missing")
        instance = _id(form, asked.query, INSTANCE)
        contents = form.getlist("content")
        files = [one for one in contents if isinstance(one, UploadFile)]
        if not files:
            raise BadRequest("content, the file, is missing")
        target = self._scanning.folder / f"new-{uuid.uuid4()}"
        try:
            size, digest = _copy(files[0], target)
            if not 1 <= size <= self._scanning.settings.max_file_bytes:
                raise BodyTooLarge(
                    f"the file has {size} bytes; from 1 to "
                    f"{self._scanning.settings.max_file_bytes} are scanned, see scans/filters"
                )
            name = (files[0].filename or "").replace("\0", "")[:256]
            new = NewScan(asked.system, instance, scan_id, name, size, digest)
            number = self._scanning.submit(new, target)
        finally:
            target.unlink(missing_ok=True)
        return number


def _copy(file: UploadFile, target: Path) -> tuple[int, str]:
    """Write an uploaded file to a path; returns its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as opened:
        file.file.seek(0)
        while block := file.file.read(_BLOCK):
            opened.write(block)
            digest.update(block)
            size += len(block)
        opened.flush()
        os.fsync(opened.fileno())
    return size, digest.hexdigest()


def _id(form: FormData, query: Mapping[str, str], name: str) -> str:
    text = _field(form, name) or query.get(name, "")
    if len(text) > _LONGEST_ID or not text.isprintable():
        raise BadRequest(f"{name} is longer than {_LONGEST_ID} characters, or not printable")
    return text


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


class _Bounded:
    """A form's parts as they come, no more than `most` bytes of them."""

    def __init__(self, stream: AsyncIterator[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._tail = b""

    @property
    def is_whole(self) -> bool:
        """Whether it ended as a form does; the parser takes one that breaks off, too."""
        return self._tail.rstrip().endswith(b"--")

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Yield them; raises BodyTooLarge."""
        left = self._most
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise BodyTooLarge(f"the form is larger than {self._most} bytes")
            self._tail = (self._tail + part[-_TAIL:])[-_TAIL:]
            yield part
