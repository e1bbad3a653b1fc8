"""Files that are nearly radiographs: PNG, JPEG and DICOM with bits flipped, parts cut, headers that lie, and bombs.

`make_mutant(seed)` is one file, the same for the same seed. Where a checksum would give a change away, it is mostly set
right again, so that many of them come as far as the decoder of pixels.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
from dicoms import make_dicom, to_bytes, without_meta
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Mutate = Callable[[bytearray, np.random.Generator], bytearray]


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def make_originals() -> tuple[bytes, ...]:
    """Sound files of every kind that is read, small, with some texture."""
    generator = np.random.default_rng(7)
    smooth = Image.fromarray(generator.integers(0, 256, (6, 6), dtype=np.uint8)).resize(
        (48, 40), Image.Resampling.BICUBIC
    )
    narrow = np.asarray(smooth)
    wide = narrow.astype(np.uint16) * np.uint16(16)
    compressed = {
        JPEGBaseline8Bit: (narrow, 8, save(smooth, "JPEG")),
        JPEGExtended12Bit: (wide, 12, imagecodecs.jpeg_encode(wide, bitspersample=12)),
        JPEGLosslessSV1: (wide, 12, imagecodecs.jpeg_encode(wide, lossless=True, bitspersample=12)),
        JPEGLSLossless: (wide, 16, imagecodecs.jpegls_encode(wide)),
        JPEG2000Lossless: (wide, 16, imagecodecs.jpeg2k_encode(wide, codecformat="j2k", reversible=True)),
    }
    files = [save(smooth.convert(mode), "PNG") for mode in ("L", "RGB", "RGBA", "LA", "P", "1")]
    files += [save(Image.fromarray(wide), "PNG"), save(smooth, "PNG", interlace=1)]
    files += [save(smooth, "JPEG"), save(smooth.convert("RGB"), "JPEG"), save(smooth, "JPEG", progressive=True)]
    for syntax, (pixels, bits, stream) in compressed.items():
        dataset = make_dicom(pixels, bits=bits, syntax=syntax, WindowCenter=2000, WindowWidth=3000)
        dataset.PixelData = encapsulate([stream])
        files.append(to_bytes(dataset))
    run_lengths = make_dicom(wide, bits=12)
    run_lengths.compress(RLELossless, generate_instance_uid=False)
    files.append(to_bytes(run_lengths))
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        files.append(to_bytes(make_dicom(wide, bits=12, syntax=syntax)))
    files.append(without_meta(to_bytes(make_dicom(narrow))))
    return tuple(files)


def flip_bits(data: bytearray, generator: np.random.Generator) -> bytearray:
    for place in generator.integers(0, len(data), generator.integers(1, 12)):
        data[place] ^= 1 << int(generator.integers(8))
    return data


def flip_late_bits(data: bytearray, generator: np.random.Generator) -> bytearray:
    """Where pixels are, in most files."""
    for place in generator.integers(len(data) // 2, len(data), generator.integers(1, 6)):
        data[place] ^= 1 << int(generator.integers(8))
    return data


def cut(data: bytearray, generator: np.random.Generator) -> bytearray:
    return data[: int(generator.integers(1, len(data)))]


def move(data: bytearray, generator: np.random.Generator) -> bytearray:
    """Copy a piece over another place."""
    length = int(generator.integers(1, 64))
    source, target = generator.integers(0, max(1, len(data) - length), 2)
    data[target : target + length] = data[source : source + length]
    return data


def lie(data: bytearray, generator: np.random.Generator) -> bytearray:
    """Write an extreme number over one in the head of the file."""
    value = generator.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
    place = int(generator.integers(8, min(len(data), 900) - 4))
    struct.pack_into(str(generator.choice(["<I", ">I"])), data, place, int(value))
    return data


def swell(data: bytearray, generator: np.random.Generator) -> bytearray:
    """A bomb: a PNG of many pixels in few bytes, whichever file it was."""
    side = int(generator.choice([5_000, 12_000, 60_000]))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(int(generator.integers(1, 3_000_000))), 1)
    body = b"".join(map(png_chunk, (b"IHDR", b"IDAT", b"IEND"), (header, rows, b"")))
    return bytearray(b"\x89PNG\r\n\x1a\n" + body)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


MUTATIONS: tuple[Mutate, ...] = (flip_bits, flip_late_bits, flip_late_bits, cut, move, lie)


def make_mutant(seed: int) -> bytes:
    """One file, changed by one to three mutations; every two-hundredth is a bomb."""
    generator = np.random.default_rng(seed)
    originals = make_originals()
    data = bytearray(originals[int(generator.integers(len(originals)))])
    if generator.random() < 0.005:
        return bytes(swell(data, generator))
    for number in generator.integers(0, len(MUTATIONS), generator.integers(1, 4)):
        data = MUTATIONS[number](data, generator) if len(data) > 32 else data
    return mend_checksums(data) if data.startswith(b"\x89PNG") and generator.random() < 0.9 else bytes(data)


def mend_checksums(data: bytearray) -> bytes:
    """A PNG whose chunks meet their checksums again, and that ends as it should."""
    out, start = bytearray(data[:8]), 8
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        out += png_chunk(bytes(kind), bytes(data[start + 8 : start + 8 + length]))
        if kind == b"IEND" or length > len(data):
            break
        start += 12 + length
    return bytes(out) if out[-8:-4] == b"IEND" else bytes(out + png_chunk(b"IEND", b""))
