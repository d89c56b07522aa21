from __future__ import annotations

import hashlib
import os
import struct
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from pneumoscope.errors import InputError, MissingExtraError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging import raster
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.limits import DecodingBudget
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.imaging.raster import DRAFT_OVERSAMPLING
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from support.phantom import chest_phantom, colour_photo, encode

CHEST = chest_phantom((180, 240))
LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "GIF": {}, "WEBP": {"lossless": True}}
ENCODED = {name: encode(CHEST, name, **options) for name, options in {**LOSSLESS, "JPEG": {}}.items()}


def png16(values: NDArray[np.uint16], colour_type: int) -> bytes:
    """A 16-bit PNG of any colour type; Pillow writes grey ones only."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestFormats:
    @pytest.mark.parametrize("name", LOSSLESS)
    def test_lossless_formats_give_the_same_pixels(self, name: str) -> None:
        image = read_image(ENCODED[name])
        assert np.array_equal(image.pixels, CHEST)
        assert (image.width, image.height, image.chroma) == (240, 180, 0.0)
        assert image.format.value.upper() == name
        assert image.sha256 == hashlib.sha256(ENCODED[name]).hexdigest()

    def test_jpeg_is_decoded_as_pillow_does(self) -> None:
        image = read_image(encode(CHEST, "JPEG", quality=90))
        assert image.format is ImageFormat.JPEG
        assert np.abs(image.pixels.astype(int) - CHEST).mean() < 3

    @pytest.mark.parametrize("name", ["lying.dcm", "lying.txt", "noextension"])
    def test_content_decides_and_not_the_name(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(ENCODED["PNG"])
        assert read_image(path).format is ImageFormat.PNG

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
    def test_colour_modes_hold_the_same_grey(self, mode: str) -> None:
        image = read_image(encode(Image.fromarray(CHEST).convert(mode), "TIFF" if mode == "CMYK" else "PNG"))
        assert np.abs(image.pixels.astype(int) - CHEST).max() <= 1
        assert image.chroma <= 1

    def test_cmyk_jpeg(self) -> None:
        image = read_image(encode(Image.fromarray(CHEST).convert("CMYK"), "JPEG", quality=95))
        assert np.abs(image.pixels.astype(int) - CHEST).mean() < 3

    def test_one_bit(self) -> None:
        image = read_image(encode(Image.fromarray(CHEST).convert("1"), "PNG"))
        assert set(np.unique(image.pixels)) == {0, 255}

    def test_colour_is_measured(self) -> None:
        photo = colour_photo()
        image = read_image(encode(photo))
        expected = (photo.max(axis=2).astype(int) - photo.min(axis=2)).mean()
        assert image.chroma == pytest.approx(expected, rel=0.02)
        luma = photo @ np.array([0.299, 0.587, 0.114])
        assert np.abs(image.pixels - luma).max() <= 1

    def test_transparency_is_composited_on_black(self) -> None:
        alpha = np.full(CHEST.shape, 255, np.uint8)
        alpha[:60] = 0
        alpha[60:120] = 128
        data = encode(Image.merge("LA", [Image.fromarray(CHEST), Image.fromarray(alpha)]))
        image = raster.decode(data, ImageFormat.PNG, target=None, name="input")
        assert image.pixels[:60].max() == 0
        assert np.abs(image.pixels[60:120] - CHEST[60:120] * (128 / 255)).max() <= 1
        assert np.array_equal(image.pixels[120:], CHEST[120:])

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
    def test_exif_orientation(self, orientation: int, file_format: str) -> None:
        stored = Image.fromarray(CHEST)
        exif = Image.Exif()
        exif[274] = orientation
        # As the EXIF standard defines the eight values.
        turned = [
            CHEST,
            CHEST[:, ::-1],
            CHEST[::-1, ::-1],
            CHEST[::-1],
            CHEST.T,
            CHEST.T[:, ::-1],
            CHEST.T[::-1, ::-1],
            CHEST.T[::-1],
        ][orientation - 1]
        image = read_image(encode(stored, file_format, exif=exif))
        assert image.pixels.shape == turned.shape
        assert np.abs(image.pixels.astype(int) - turned).mean() < 4
        assert (image.width, image.height) == (240, 180)


class TestDeepPixels:
    DEEP = (CHEST.astype(np.uint16) << 8) | CHEST

    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_sixteen_bit_grey(self, file_format: str) -> None:
        assert np.array_equal(read_image(encode(self.DEEP, file_format)).pixels, CHEST)

    def test_big_endian_tiff(self) -> None:
        big = Image.frombytes("I;16B", (240, 180), self.DEEP.astype(">u2").tobytes())
        assert np.array_equal(read_image(encode(big, "TIFF")).pixels, CHEST)

    @pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
    def test_sixteen_bit_png_of_other_colour_types(self, colour_type: int, channels: int) -> None:
        values = np.stack([self.DEEP] * channels, axis=2)
        if channels in (2, 4):
            values[..., -1] = 65535
        assert np.abs(read_image(png16(values, colour_type)).pixels.astype(int) - CHEST).max() <= 1

    def test_tiff_that_counts_from_white(self) -> None:
        image = read_image(encode(self.DEEP, "TIFF", tiffinfo={262: 0}))
        assert np.array_equal(image.pixels, 255 - CHEST)

    def test_tiff_that_declares_its_range(self) -> None:
        twelve_bits = CHEST.astype(np.uint16) * 16
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[281] = 255 * 16
        assert np.array_equal(read_image(encode(twelve_bits, "TIFF", tiffinfo=info)).pixels, CHEST)

    def test_twelve_bits_in_sixteen_undeclared_are_refused_not_guessed(self) -> None:
        with pytest.raises(RefusedInputError, match=r"brightest pixel is .* of 65535"):
            read_image(encode(CHEST.astype(np.uint16) * 16, "PNG"))

    @pytest.mark.parametrize("dtype", [np.int32, np.float32])
    def test_types_without_a_range_are_scaled_by_their_own(self, dtype: type) -> None:
        values: NDArray[Any] = CHEST.astype(dtype) * 3 - 100
        expected = (CHEST.astype(float) - CHEST.min()) * 255 / np.ptp(CHEST)
        assert np.abs(read_image(encode(values, "TIFF")).pixels - expected).max() <= 0.51

    def test_a_constant_float_image_is_black(self) -> None:
        assert not read_image(encode(np.full((200, 200), 7, np.float32), "TIFF")).pixels.any()

    def test_values_that_are_not_finite(self) -> None:
        with pytest.raises(RefusedInputError, match="not finite"):
            read_image(encode(np.full((200, 200), np.nan, np.float32), "TIFF"))


class TestReducedDecoding:
    """Targets are small so that the pictures can be: only the ratio counts."""

    TARGET = 32

    def large(self, side: int, seed: int = 0) -> bytes:
        # Without the dark rim, which at a reduced scale could be a bar, so that the file is decoded in full.
        rim = side // 4
        return encode(chest_phantom(side + 2 * rim, seed)[rim:-rim, rim:-rim], "JPEG", quality=85)

    @pytest.mark.parametrize("scale", [2, 4, 8])
    def test_is_used_and_changes_no_pixel_by_more_than_one(self, scale: int) -> None:
        side = scale * DRAFT_OVERSAMPLING * self.TARGET
        data = self.large(side)
        reduced, full = read_image(data, target=self.TARGET), read_image(data, target=None)
        assert reduced.pixels.shape == (side // scale, side // scale) and full.pixels.shape == (side, side)
        assert (reduced.width, reduced.height) == (side, side)
        small, expected = (shrink(i.pixels, width=self.TARGET, height=self.TARGET) for i in (reduced, full))
        assert np.abs(small.astype(int) - expected).max() <= 1

    @pytest.mark.parametrize("more", [-2, 1])
    def test_is_not_used_where_it_would_show(self, more: int) -> None:
        side = 2 * DRAFT_OVERSAMPLING * self.TARGET + more  # too small; not divisible
        assert read_image(self.large(side), target=self.TARGET).pixels.shape == (side, side)

    def test_real_radiographs_change_by_at_most_one(self, radiographs: Path) -> None:
        paths = sorted(radiographs.glob("native/*/*/*.jpeg"))[::6]
        assert paths
        for path in paths:
            for target in (224, 56):
                images = read_image(path, target=target), read_image(path, target=None)
                small, expected = (shrink(i.pixels, width=target, height=target) for i in images)
                assert np.abs(small.astype(int) - expected).max() <= 1, (path, target)


class TestBadInput:
    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.png"
        path.touch()
        with pytest.raises(UnreadableInputError, match=r"empty\.png: empty, 0 bytes"):
            read_image(path)

    def test_text_named_png(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.png"
        path.write_text("Dear colleague, thank you")
        with pytest.raises(UnreadableInputError, match=r"notes\.png: not an image of a known format"):
            read_image(path)

    def test_git_lfs_pointer(self) -> None:
        with pytest.raises(UnreadableInputError, match="git lfs pull"):
            read_image(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")

    def test_missing_folder_and_pipe(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableInputError, match="no such file"):
            read_image(tmp_path / "none.png")
        with pytest.raises(UnreadableInputError, match="a folder"):
            read_image(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UnreadableInputError, match="not a regular file"):
            read_image(tmp_path / "pipe")
        with pytest.raises(UnreadableInputError):
            read_image(Path("nul\0.png"))

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "secret.png"
        path.write_bytes(ENCODED["PNG"])

        def denied(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        # chmod does not stop the superuser, who runs the tests in a container.
        monkeypatch.setattr(Path, "read_bytes", denied)
        with pytest.raises(UnreadableInputError, match="no permission"):
            read_image(path)

    def test_absurd_file_size(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse.png"
        with path.open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(RefusedInputError, match="at most 512 MiB"):
            read_image(path)

    @pytest.mark.parametrize(
        ("name", "size", "huge"),
        [
            ("PNG", struct.pack(">II", 240, 180), struct.pack(">II", 30_000, 30_000)),
            ("JPEG", struct.pack(">HH", 180, 240), struct.pack(">HH", 30_000, 30_000)),
            ("BMP", struct.pack("<ii", 240, 180), struct.pack("<ii", 30_000, 30_000)),
        ],
    )
    def test_bomb_is_refused_by_its_header(self, name: str, size: bytes, huge: bytes) -> None:
        bomb = bytearray(ENCODED[name].replace(size, huge, 1))
        if name == "PNG":
            bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
        with pytest.raises(RefusedInputError, match="bomb: 30000 x 30000 pixels, at most 50 megapixels"):
            read_image(bytes(bomb), name="bomb")

    def test_just_below_our_limit_is_read_without_a_warning(self) -> None:
        image = read_image(encode(Image.new("1", (4_900, 10_000)), "PNG", compress_level=1))
        assert image.pixels.size == 49_000_000

    @pytest.mark.parametrize("name", ENCODED)
    @pytest.mark.parametrize("kept", [0.03, 0.3, 0.6, 0.9])
    def test_cut_short(self, name: str, kept: float) -> None:
        data = ENCODED[name]
        with pytest.raises(UnreadableInputError, match=r"x\.img: damaged or cut short"):
            read_image(data[: int(len(data) * kept)], name="x.img")

    def test_jpeg_cut_by_a_few_bytes(self) -> None:
        for missing in range(1, 40):
            with pytest.raises(UnreadableInputError):
                read_image(ENCODED["JPEG"][:-missing])

    @pytest.mark.parametrize("name", ENCODED)
    def test_random_damage_never_escapes_as_another_error(self, name: str) -> None:
        random = np.random.default_rng(0)
        seen = 0
        for trial in range(60):
            data = bytearray(ENCODED[name])
            reach = 200 if trial % 2 else len(data)
            for position in random.integers(0, reach, 4):
                data[position] = random.integers(256)
            try:
                image = read_image(bytes(data))
            except InputError as error:
                assert str(error).startswith("input: ")
                seen += 1
            else:
                assert image.pixels.dtype == np.uint8 and image.pixels.ndim == 2
        assert seen

    @pytest.mark.parametrize("file_format", ["TIFF", "GIF", "WEBP", "PNG"])
    def test_several_frames(self, file_format: str) -> None:
        frames = [Image.fromarray(chest_phantom(150, seed)) for seed in range(3)]
        data = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
        with pytest.raises(RefusedInputError, match="several frames or pages, one image needed"):
            read_image(data)

    def test_lab_colour(self) -> None:
        with pytest.raises(UnreadableInputError, match="LAB"):
            read_image(encode(Image.new("LAB", (200, 200)), "TIFF"))

    def test_dicom_without_its_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.startswith("pneumoscope.imaging.dicom")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "pydicom", None)
        with pytest.raises(MissingExtraError, match=r"pneumoscope\[dicom\]"):
            read_image(bytes(128) + b"DICM" + bytes(100))


def gif_of_comments(count: int) -> bytes:
    sound = encode(CHEST, "GIF")
    place = 13 + 3 * 2 ** ((sound[10] & 7) + 1)
    return sound[:place] + b"\x21\xfe" + b"\x01a" * count + b"\0" + sound[place:]


def tiff_of_pages(count: int) -> bytes:
    """A picture, and directories that point at one another."""
    data = bytearray(encode(CHEST, "TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, first)[0]
    directory = bytes(data[first : first + 2 + 12 * entries])
    struct.pack_into("<I", data, first + 2 + 12 * entries, len(data))
    for _ in range(count):
        data += directory + struct.pack("<I", len(data) + len(directory) + 4)
    struct.pack_into("<I", data, len(data) - 4, 0)
    return bytes(data)


class TestHostile:
    """Files whose cost does not show in their size: refused at once."""

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (gif_of_comments(1_000_000), "a GIF of far more blocks"),
            (tiff_of_pages(30_000), "several frames or pages"),
            (ENCODED["JPEG"][:2] + b"\xff\xe5\0\x04ab" * 500_000 + ENCODED["JPEG"][2:], "segments"),
            (ENCODED["JPEG"][:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 100_000 + b"\xff\xd9", "scans"),
        ],
        ids=["GIF comments", "TIFF pages", "JPEG segments", "JPEG scans"],
    )
    def test_many_parts(self, data: bytes, message: str) -> None:
        start = time.perf_counter()
        with pytest.raises(RefusedInputError, match=message):
            read_image(data)
        assert time.perf_counter() - start < 2  # a tenth of it on an idle machine

    def test_a_comment_is_no_fault(self) -> None:
        assert np.array_equal(read_image(gif_of_comments(20)).pixels, CHEST)

    def test_a_tiff_of_one_huge_tile(self) -> None:
        data = encode(CHEST, "TIFF", compression="tiff_lzw")
        strip = struct.pack("<HHI", 278, 3, 1)  # RowsPerStrip becomes TileWidth, StripByteCounts TileLength
        assert strip in data
        tags = {278: 322, 279: 323}
        tiled = bytearray(data)
        first = struct.unpack_from("<I", data, 4)[0]
        for entry in range(struct.unpack_from("<H", data, first)[0]):
            at = first + 2 + 12 * entry
            if (tag := struct.unpack_from("<H", data, at)[0]) in tags:
                struct.pack_into("<HHII", tiled, at, tags[tag], 4, 1, 60_000)
        with pytest.raises(RefusedInputError, match="tiles of 60000 x 60000"):
            read_image(bytes(tiled))

    def test_memory_is_shared(self) -> None:
        budget = DecodingBudget(100)
        with budget.reserve(60):
            waiting = threading.Thread(target=lambda: budget.reserve(60).__enter__())
            waiting.start()
            waiting.join(0.1)
            assert waiting.is_alive()
        waiting.join(5)
        assert not waiting.is_alive()
        with budget.reserve(10**9):  # more than there is: alone
            pass

    def test_its_own_pictures_are_refused(self) -> None:
        with pytest.raises(RefusedInputError, match="Pneumoscope made itself"):
            read_image(encode(CHEST, "PNG", pnginfo=software("Pneumoscope")))
        assert read_image(encode(CHEST, "PNG", pnginfo=software("GIMP"))).notes == ()


def software(name: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", name)
    return info


class TestNamesOfUnreadFormats:
    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40), "HEIC is not read"),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(40), "AVIF is not read"),
            (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL is not read"),
            (b"\xff\xd8\xff\xe8\0\x04ab\xff\xf7" + bytes(40), "JPEG-LS is not read outside DICOM"),
            (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000 is not read outside DICOM"),
            (b"%PDF-1.7\n" + bytes(40), "PDF is a document"),
            (b"BM, dear colleague, and thanks for all", "not an image of a known format"),
        ],
    )
    def test_message(self, data: bytes, what: str) -> None:
        with pytest.raises(UnreadableInputError, match=what) as caught:
            read_image(data)
        assert caught.value.sha256 == hashlib.sha256(data).hexdigest()

    def test_transparent_everywhere(self) -> None:
        clear = Image.merge("LA", [Image.fromarray(CHEST), Image.new("L", (240, 180), 0)])
        image = read_image(encode(clear))
        assert np.array_equal(image.pixels, CHEST) and "transparent" in image.notes[0]

    @pytest.mark.parametrize("bits", [12, 14, 15])
    def test_fewer_bits_than_sixteen(self, bits: int) -> None:
        with pytest.raises(RefusedInputError, match=f"as of {bits} bits"):
            read_image(encode(CHEST.astype(np.uint16) << (bits - 8), "PNG"))


class TestThreads:
    def test_many_at_once_give_what_one_gives(self) -> None:
        limit = Image.MAX_IMAGE_PIXELS

        def read(name: str) -> Radiograph:
            return read_image(ENCODED[name])

        names = list(ENCODED) * 20
        with ThreadPoolExecutor(8) as pool:
            images = list(pool.map(read, names))
        for name, image in zip(names, images, strict=True):
            assert np.array_equal(image.pixels, read(name).pixels)
        assert limit == Image.MAX_IMAGE_PIXELS

    def test_overlapping_quiet_sections_restore_the_filters(self) -> None:
        before = list(warnings.filters)
        inside, release = threading.Event(), threading.Event()

        def hold() -> None:
            with quiet_warnings():
                inside.set()
                release.wait(10)

        thread = threading.Thread(target=hold)
        with quiet_warnings():
            thread.start()
            inside.wait(10)
        warnings.warn("ignored: the other thread is still inside", UserWarning, stacklevel=1)
        release.set()
        thread.join()
        assert list(warnings.filters) == before
        with pytest.warns(UserWarning, match="shown again"):
            warnings.warn("shown again", UserWarning, stacklevel=1)

    def test_odd_metadata_does_not_warn(self) -> None:
        exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\0" * 40
        options: dict[str, Any] = {"exif": exif}
        assert read_image(encode(CHEST, "JPEG", **options)).format is ImageFormat.JPEG
