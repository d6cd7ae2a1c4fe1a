"""Where in a shared library's file its functions begin; layout as in elf(5), 64 bits only."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.errors import SensorUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import BinaryIO

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_MAGIC = b"\x7fELF\x02\x01"
_LOAD, _DYNAMIC_SYMBOLS, _FUNCTION = 1, 11, 2
MOST_SYMBOLS = 65536


def function_offsets(file: BinaryIO, names: Collection[str]) -> dict[str, int]:
    """Return the offsets in the file at which exported functions begin, of those of `names`.

    Raises SensorUnavailable when it is no 64-bit ELF file, or a damaged one.
    """
    wanted = {name.encode(): name for name in names}
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
            if image[: len(_MAGIC)] != _MAGIC:
                raise SensorUnavailable(f"{file.name} is no 64-bit ELF file")
            header = _HEADER.unpack_from(image)
            loaded = [*_segments(image, header)]
            found = _functions(image, header, wanted)
            return {wanted[name]: _offset(loaded, at) for name, at in found}
    except (struct.error, ValueError, IndexError, OSError) as error:
        raise SensorUnavailable(f"{file.name} is a damaged ELF file: {error}") from error


def _segments(image: mmap.mmap, header: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield address, size and offset of what is loaded of the file."""
    for number in range(header[10]):
        kind, _, offset, address, _, size, _, _ = _SEGMENT.unpack_from(
            image, header[5] + number * _SEGMENT.size
        )
        if kind == _LOAD:
            yield address, size, offset


def _functions(
    image: mmap.mmap, header: tuple[int, ...], wanted: Collection[bytes]
) -> Iterator[tuple[bytes, int]]:
    sections = [
        _SECTION.unpack_from(image, header[6] + number * _SECTION.size)
        for number in range(header[12])
    ]
    for section in sections:
        if section[1] != _DYNAMIC_SYMBOLS:
            continue
        start, count, names = section[4], section[5] // _SYMBOL.size, sections[section[6]][4]
        for number in range(min(count, MOST_SYMBOLS)):
            name, info, _, _, value, _ = _SYMBOL.unpack_from(image, start + number * _SYMBOL.size)
            if info & 0xF == _FUNCTION and value:
                end = image.find(b"\0", names + name, names + name + 64)
                text = image[names + name : end]
                if text in wanted:
                    yield text, value


def _offset(loaded: list[tuple[int, int, int]], address: int) -> int:
    for start, size, offset in loaded:
        if start <= address < start + size:
            return address - start + offset
    raise ValueError(f"nothing is loaded at {address:#x}")
