from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kornia_rs.io import decode_image_png_u8
from PIL import Image, PngImagePlugin

from radspark.errors import UnreadableImageError
from radspark.images import ImageLimits, decode_radiograph, png
from radspark.settings import PreparationSettings

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)


def encode(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(header: bytes, pixels: bytes, *, extra: bytes = b"") -> bytes:
    idat = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + idat + chunk(b"IEND", b"")


def watch_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str]]:
    """The bytes that kornia-rs is given, and the mode that it is asked for."""
    calls: list[tuple[bytes, str]] = []

    def decode(data: bytes, shape: tuple[int, int], mode: str) -> np.ndarray:
        calls.append((data, mode))
        return decode_image_png_u8(data, shape, mode)

    monkeypatch.setattr(png, "decode_image_png_u8", decode)
    return calls


@given(hnp.arrays(np.uint8, SHAPES))
def test_8_bit_grey_is_exact(pixels: np.ndarray) -> None:
    image = decode_radiograph(encode(Image.fromarray(pixels)))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.max_value == 255


@given(hnp.arrays(np.uint16, SHAPES))
def test_16_bit_grey_is_exact(pixels: np.ndarray) -> None:
    image = decode_radiograph(encode(Image.fromarray(pixels)))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.max_value, image.pixels.dtype) == (65535, np.uint16)


@given(hnp.arrays(np.uint8, SHAPES), st.sampled_from(["RGB", "RGBA", "LA"]))
def test_color_that_is_grey_gives_that_grey(pixels: np.ndarray, mode: str) -> None:
    image = decode_radiograph(encode(Image.fromarray(pixels).convert(mode)))
    np.testing.assert_array_equal(image.pixels, pixels)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20).map(lambda shape: (*shape, 3))))
def test_true_color_becomes_601_luma(colors: np.ndarray) -> None:
    luma = colors @ [0.299, 0.587, 0.114]
    image = decode_radiograph(encode(Image.fromarray(colors)))
    assert np.abs(image.pixels - luma).max() <= 0.51


@given(hnp.arrays(np.uint8, SHAPES), hnp.arrays(np.uint8, (256, 3)))
def test_palette_gives_the_luma_of_its_colors(indices: np.ndarray, palette: np.ndarray) -> None:
    indexed = Image.fromarray(indices).convert("P")
    indexed.putdata(indices.ravel().tolist())
    indexed.putpalette(palette.ravel().tolist())
    image = decode_radiograph(encode(indexed))
    assert np.abs(image.pixels - palette[indices] @ [0.299, 0.587, 0.114]).max() <= 0.51


@given(hnp.arrays(np.bool_, SHAPES))
def test_1_bit_is_black_and_white(pixels: np.ndarray) -> None:
    image = decode_radiograph(encode(Image.fromarray(pixels)))
    np.testing.assert_array_equal(image.pixels, pixels * np.uint8(255))


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_grey_fill_the_range(bits: int) -> None:
    row = sum(value << (8 - bits * (i + 1)) for i, value in enumerate(range(8 // bits)))
    data = raw_png(struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0), bytes([0, row]))
    np.testing.assert_array_equal(decode_radiograph(data).pixels[0], np.arange(8 // bits) * (255 // (2**bits - 1)))


def test_interlaced_is_read() -> None:
    # One pixel of a 2 x 1 Adam7 image is in pass 1, the other in pass 6.
    data = raw_png(struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 1), bytes([0, 64, 0, 200]))
    np.testing.assert_array_equal(decode_radiograph(data).pixels, [[64, 200]])


def test_alpha_is_ignored() -> None:
    pixels = np.full((4, 4, 4), 90, np.uint8)
    pixels[..., 3] = 0
    assert (decode_radiograph(encode(Image.fromarray(pixels))).pixels == 90).all()


def test_exif_orientation_is_honored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode_radiograph(encode(Image.fromarray(np.array([[1, 2, 3]], np.uint8)), exif=exif))
    np.testing.assert_array_equal(upright.pixels, [[1], [2], [3]])


def test_huge_header_is_refused_before_decoding() -> None:
    data = raw_png(struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0), b"")
    with pytest.raises(UnreadableImageError, match="60000 x 60000 pixels; the limits are 50 million"):
        decode_radiograph(data)


def test_pixels_beyond_the_header_are_never_expanded() -> None:
    data = raw_png(struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0), bytes(300_000_000))
    assert decode_radiograph(data).pixels.shape == (4, 4)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
@pytest.mark.parametrize("bits", [8, 16])
def test_what_expands_without_limit_beside_the_picture_reaches_no_decoder(
    monkeypatch: pytest.MonkeyPatch, kind: bytes, bits: int
) -> None:
    monkeypatch.setattr(PngImagePlugin, "_safe_zlib_decompress", pytest.fail)
    fast = watch_fast_decoder(monkeypatch)
    beside = chunk(kind, b"k\0\0" + zlib.compress(bytes(50_000_000)))
    data = raw_png(struct.pack(">IIBBBBB", 1, 1, bits, 0, 0, 0, 0), b"\0\7\0"[: 1 + bits // 8], extra=beside)
    assert decode_radiograph(data).pixels[0, 0] == 7 << (bits - 8)
    assert [kind in seen for seen, _ in fast] == [False] * (bits == 8)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_file_of_many_tiny_chunks_takes_no_more_than_its_bytes_again(bits: int) -> None:
    tiny = b"".join(chunk(b"%04x" % i, b"") for i in range(50_000))
    data = raw_png(struct.pack(">IIBBBBB", 1, 1, bits, 0, 0, 0, 0), b"\0\7\0"[: 1 + bits // 8], extra=tiny)
    tracemalloc.start()
    image = decode_radiograph(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert image.pixels[0, 0] == 7 << (bits - 8)
    assert peak < len(data)


def test_a_wrong_checksum_is_noticed_beside_the_picture_too() -> None:
    text = bytearray(chunk(b"tEXt", b"k\0hello"))
    text[-1] ^= 1
    data = raw_png(struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), b"\0\0", extra=bytes(text))
    with pytest.raises(UnreadableImageError, match="wrong checksum"):
        decode_radiograph(data)


def test_every_cut_is_called_truncated() -> None:
    data = encode(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    for end in range(8, len(data)):
        with pytest.raises(UnreadableImageError, match="truncated"):
            decode_radiograph(data[:end])


def test_one_changed_bit_of_the_pixels_is_noticed() -> None:
    data = bytearray(encode(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))))
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(UnreadableImageError, match="wrong checksum"):
        decode_radiograph(bytes(data))


def test_animation_is_refused() -> None:
    frames = [Image.new("L", (4, 4), grey) for grey in (1, 2)]
    with pytest.raises(UnreadableImageError, match="several frames"):
        decode_radiograph(encode(frames[0], save_all=True, append_images=frames[1:]))


def test_limits_can_be_raised() -> None:
    data = encode(Image.new("L", (200, 100)))
    with pytest.raises(UnreadableImageError, match=r"0\.01 million"):
        decode_radiograph(data, limits=ImageLimits(max_pixels=10_000))
    assert decode_radiograph(data, limits=ImageLimits(max_pixels=20_000)).pixels.shape == (100, 200)


@pytest.mark.parametrize(("mode", "asked"), [("L", "mono"), ("RGB", "rgb"), ("RGBA", "rgba")])
def test_plain_8_bit_takes_the_fast_decoder(monkeypatch: pytest.MonkeyPatch, mode: str, asked: str) -> None:
    calls = watch_fast_decoder(monkeypatch)
    decode_radiograph(encode(Image.new(mode, (9, 5))))
    assert [mode for _, mode in calls] == [asked]


def test_what_turns_moves_or_expands_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = watch_fast_decoder(monkeypatch)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turned = decode_radiograph(encode(Image.fromarray(upright), exif=exif))
    np.testing.assert_array_equal(turned.pixels, np.rot90(upright, -1))
    assert calls == []


def test_what_the_fast_decoder_refuses_is_read_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(png, "decode_image_png_u8", refuse)
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(decode_radiograph(encode(Image.fromarray(pixels))).pixels, pixels)


@pytest.mark.parametrize(("most", "white"), [(4000, 4095), (200, 255), (40_000, 65535), (0, 255)])
def test_white_of_16_bits_is_by_the_bits_in_use_where_that_is_asked_for(most: int, white: int) -> None:
    data = encode(Image.fromarray(np.array([[0, most]], np.uint16)))
    assert decode_radiograph(data).max_value == 65535
    assert decode_radiograph(data, PreparationSettings(sixteen_bit="used_bits")).max_value == white


@pytest.mark.data
def test_real_files_have_the_pixels_of_pillow(shared_data: Path) -> None:
    for file in sorted((shared_data / "nih-1024" / "images").iterdir()):
        pixels = decode_radiograph(file.read_bytes()).pixels
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(file).convert("L")), file.name)
