"""What the headers of compressed pixels say of their size, so that nothing larger is decoded. Decodes nothing."""

from __future__ import annotations

import itertools
import struct
from typing import Final

_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""SOF markers of JPEG (ITU-T T.81 table B.1), and SOF55 of JPEG-LS (T.87 C.1.1)."""
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the frame header of a JPEG or JPEG-LS stream; None if there is none."""
    position = _find_frame(data)
    if position is None:
        return None
    height, width = struct.unpack_from(">HH", data, position + 5)
    return width, height


def read_frame_marker(data: bytes) -> int | None:
    """The start-of-frame marker, which tells baseline, extended, lossless JPEG and JPEG-LS apart; None without one."""
    position = _find_frame(data)
    return None if position is None else data[position + 1]


def _find_frame(data: bytes) -> int | None:
    """Where the frame header begins, whole as far as the size."""
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in _START_OF_FRAME:
            return position
        else:
            length = struct.unpack_from(">H", data, position + 2)[0]
            position += 2 + max(length, 2)
    return None


def read_jpeg2000_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the SIZ segment of a JPEG 2000 code stream (ITU-T T.800 A.5.1); None if there is none."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or start + 24 > len(data):
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return right - left, bottom - top


def read_rle_length(data: bytes) -> int:
    """Bytes to which a DICOM RLE frame expands (PS3.5 annex G), all segments together."""
    num_segments, *offsets = struct.unpack_from("<16I", data)
    bounds = [*offsets[:num_segments], len(data)]
    return sum(_packed_length(data[start:end]) for start, end in itertools.pairwise(bounds))


def _packed_length(segment: bytes) -> int:
    """Bytes to which one PackBits segment expands (PS3.5 G.3.2)."""
    position = total = 0
    while position < len(segment):
        header = segment[position]
        if header < 128:
            total += header + 1
            position += header + 2
        else:
            total += 257 - header if header > 128 else 0
            position += 2 if header > 128 else 1
    return total
