"""Fetches a file to the server: read twice, first for its hash, then part by part.

A file that changes in between is begun anew once. What is no regular file is not opened for
reading at all: a device or a pipe could hold the agent up.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.answers import NoAnswer, said
from deodar.agent.tasking.executors.base import TaskFailed, now_us
from deodar.response.kinds import GetFile, Parameters
from deodar.response.wire import LARGEST_PART, RESULTS, FileFacts, Result

if TYPE_CHECKING:
    from deodar.agent.answers import Answer
    from deodar.agent.tasking.executors.base import Context

TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
_BLOCK = 65_536


class _Have(msgspec.Struct):
    have: int


def execute(parameters: Parameters, context: Context) -> Result:
    """Send the file of a task and return what was sent."""
    if not isinstance(parameters, GetFile):
        raise TaskFailed("these are no parameters of get_file")
    began = now_us()
    descriptor = _open(parameters.path)
    try:
        facts = _facts(descriptor, parameters)
        if not _send(descriptor, facts, context):
            facts = _facts(descriptor, parameters)  # it has changed
            if not _send(descriptor, facts, context):
                raise TaskFailed("the file changes while it is read")
    finally:
        os.close(descriptor)
    return Result("done", started_us=began, ended_us=now_us(), file=facts)


def _open(path: str) -> int:
    try:
        # O_PATH first: opening a device or a pipe may do something, or wait.
        marked = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(marked).st_mode):
                raise TaskFailed(f"{path} is no regular file")
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/proc/self/fd/{marked}", flags)
        finally:
            os.close(marked)
    except OSError as error:
        raise TaskFailed(f"{path}: {error.strerror}") from error


def _facts(descriptor: int, parameters: GetFile) -> FileFacts:
    digest, size = hashlib.sha256(), 0
    try:
        while block := os.pread(descriptor, _BLOCK, size):
            size += len(block)
            if size > parameters.maximum_bytes:
                raise TaskFailed(
                    f"the file has more than the {parameters.maximum_bytes} bytes asked"
                )
            digest.update(block)
        modified = os.fstat(descriptor).st_mtime_ns // 1000
    except OSError as error:
        raise TaskFailed(f"{parameters.path}: {error.strerror}") from error
    return FileFacts(parameters.path, size, digest.hexdigest(), modified)


def _send(descriptor: int, facts: FileFacts, context: Context) -> bool:
    """Send all parts; returns False when the file is not the one of `facts` any more."""
    offset = 0
    while True:
        data = os.pread(descriptor, min(LARGEST_PART, facts.size - offset), offset)
        if not data and offset < facts.size:
            return False
        answer = _send_part(facts, offset, data, context)
        read = _have(answer)
        if answer.status == 400 and read == 0:
            return False  # other bytes than those of the hash
        if answer.status not in (200, 409) or read is None or read > facts.size:
            raise TaskFailed(f"the server takes no file: HTTP {answer.status}{said(answer)}")
        offset = read
        if answer.status == 200 and offset == facts.size:
            return True


def _send_part(facts: FileFacts, offset: int, data: bytes, context: Context) -> Answer:
    """Send a part, again after a pause while no server takes it."""
    headers = {
        "Deodar-Offset": str(offset),
        "Deodar-Total": str(facts.size),
        "Deodar-Sha256": facts.sha256,
        "Content-Type": "application/octet-stream",
    }
    pause, problem = FIRST_PAUSE, ""
    for _ in range(TRIES):
        try:
            answer = context.send(f"{RESULTS}{context.task_id}/file", data, headers)
        except NoAnswer as error:
            problem = str(error)
        else:
            if answer.status not in (500, 502, 503, 504):
                return answer
            problem = f"HTTP {answer.status}{said(answer)}"
        if context.stop.wait(pause):
            raise TaskFailed("the agent was stopped while it sent the file")
        pause = min(2 * pause, LONGEST_PAUSE)
    raise TaskFailed(f"the file could not be sent: {problem}")


def _have(answer: Answer) -> int | None:
    try:
        return msgspec.json.decode(answer.body, type=_Have).have
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
