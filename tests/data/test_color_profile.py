"""Photographs of every color space come out in sRGB, and a profile that cannot be used stops none of them."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from icc_profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    D50,
    DISPLAY_P3,
    PROPHOTO,
    PROPHOTO_GAMMA,
    SRGB,
    cmyk_profile,
    decode_srgb,
    encode_srgb,
    gamma_curve,
    grey_profile,
    in_srgb,
    lab_in_srgb,
    rgb_profile,
    srgb_curve,
)
from PIL import Image, ImageCms

from mofa3d.data.photo import read_photo

COLORS = np.array(
    [
        [200, 150, 130], [0, 128, 0], [255, 0, 0], [128, 128, 128],
        [30, 60, 90], [255, 255, 255], [0, 0, 0], [230, 190, 60],
    ],
    dtype=np.uint8,
)[None]  # fmt: skip


def read(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(pixels, mode).save(data, kind, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_photo(io.BytesIO(data.getvalue()), "a").astype(int)


def near(found: np.ndarray, levels: np.ndarray, tolerance: float = 1.2) -> bool:
    return float(np.abs(found - levels).max()) <= tolerance


class TestRgb:
    def test_known_colors(self):
        adobe = rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA))
        skin, green, grey = read(
            np.array([[[200, 150, 130], [0, 128, 0], [128, 128, 128]]], np.uint8), icc_profile=adobe
        )[0]
        assert near(skin, [217, 151, 130])
        assert near(green, [0, 129, 0])  # its red is below sRGB's
        assert near(grey, [129, 129, 129])
        p3 = rgb_profile(DISPLAY_P3, srgb_curve())
        skin, red = read(np.array([[[200, 150, 130], [255, 0, 0]]], np.uint8), icc_profile=p3)[0]
        assert near(skin, [209, 147, 126])
        assert red.tolist() == [255, 0, 0]  # cut off

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("space", ["Adobe RGB", "Display P3", "ProPhoto"])
    def test_every_format_as_computed(self, space, kind):
        gamma = {"Adobe RGB": ADOBE_GAMMA, "ProPhoto": PROPHOTO_GAMMA}.get(space)
        primaries = {"Adobe RGB": ADOBE_RGB, "Display P3": DISPLAY_P3, "ProPhoto": PROPHOTO}[space]
        white = {"white": D50} if space == "ProPhoto" else {}
        icc = rgb_profile(primaries, gamma_curve(gamma) if gamma else srgb_curve(), **white)
        linear = (COLORS / 255) ** gamma if gamma else decode_srgb(COLORS)
        options = {"lossless": True} if kind == "WEBP" else {}
        found = read(COLORS, kind, icc_profile=icc, **options)
        assert near(found, in_srgb(linear, primaries, **white))
        assert not near(found, COLORS, 5)

    @pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
    def test_formats_with_losses(self, kind):
        icc = rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA))
        skin = np.full((16, 16, 3), [200, 150, 130], np.uint8)
        assert near(read(skin, kind, icc_profile=icc, quality=95)[8, 8], [217, 151, 130], 3)

    def test_primaries_that_avif_states(self):
        data = io.BytesIO()
        Image.new("RGB", (16, 16), (200, 150, 130)).save(data, "AVIF", quality=95, subsampling="4:4:4")
        content = data.getvalue()
        assert content.count(b"colrnclx\0\1") == 1
        plain, p3 = (
            read_photo(io.BytesIO(content.replace(b"colrnclx\0\1", b"colrnclx\0" + bytes([number]))), "a")[8, 8].astype(
                int
            )
            for number in (1, 12)
        )
        assert near(plain, [200, 150, 130], 2)
        assert near(p3, [209, 147, 126], 3)

    def test_transparency_and_palettes(self):
        icc = rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA))
        expected = in_srgb((COLORS / 255) ** ADOBE_GAMMA, ADOBE_RGB)
        opaque = np.dstack([COLORS, np.full((1, 8, 1), 255, np.uint8)])
        opaque[0, 1, 3] = 0
        found = read(opaque, icc_profile=icc)
        assert found[0, 1].tolist() == [255, 255, 255]
        assert near(np.delete(found, 1, axis=1), np.delete(expected, 1, axis=1))
        palette, data = Image.fromarray(COLORS).quantize(8), io.BytesIO()
        palette.save(data, "PNG", icc_profile=icc)
        assert near(read_photo(io.BytesIO(data.getvalue()), "a"), expected)

    @pytest.mark.parametrize(
        "icc", [rgb_profile(SRGB, srgb_curve()), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
    )
    def test_srgb_changes_no_bit(self, icc):
        pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        assert np.array_equal(read(pixels, icc_profile=icc), pixels)
        assert np.array_equal(read(pixels[..., 0], icc_profile=icc), pixels[..., :1].repeat(3, axis=2))


class TestOtherSpaces:
    def test_greys(self):
        grey = np.arange(0, 256, 15, dtype=np.uint8)[None]
        found = read(grey, icc_profile=grey_profile(gamma_curve(1.8)))
        assert near(found, encode_srgb((grey / 255) ** (461 / 256))[..., None])
        transparent = np.dstack([grey, np.full_like(grey, 255)])
        assert np.array_equal(read(transparent, icc_profile=grey_profile(gamma_curve(1.8))), found)

    def test_deep_greys(self):
        grey = (np.arange(0, 256, 15) * 257).astype(np.uint16)[None]
        found = read(grey, icc_profile=grey_profile(gamma_curve(1.8)))
        assert near(found, encode_srgb((grey / 65535) ** (461 / 256))[..., None])

    def test_greys_with_the_profile_of_a_display(self):
        grey = np.arange(0, 256, 15, dtype=np.uint8)[None]
        icc = rgb_profile(PROPHOTO, gamma_curve(PROPHOTO_GAMMA), D50)
        assert near(read(grey, icc_profile=icc), encode_srgb((grey / 255) ** PROPHOTO_GAMMA)[..., None])

    def test_inks(self):
        # Each ink darkens, cyan turns to blue-green, and so on; black is black.
        lab = np.full((2, 2, 2, 2, 3), 0.0)
        for c, m, y, k in np.ndindex(2, 2, 2, 2):
            light = 100 - 30 * c - 40 * m - 8 * y
            lab[c, m, y, k] = (0, 0, 0) if k else (light, 30 * m - 30 * c, 40 * y - 35 * c)
        inks = np.array(
            [[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 255, 255, 0], [255, 255, 255, 255]]], np.uint8
        )
        expected = lab_in_srgb(np.stack([lab[tuple(ink)] for ink in (inks[0] > 0).astype(int)]))
        found = read(inks, "TIFF", "CMYK", icc_profile=cmyk_profile(lab))
        assert near(found, expected, 2.5)  # its table has 8 bits
        jpeg = read(
            inks.repeat(16, axis=0).repeat(16, axis=1), "JPEG", "CMYK", icc_profile=cmyk_profile(lab), quality=100
        )
        assert near(jpeg[8, 8::16], expected, 6)

    def test_inks_without_a_profile_only_absorb(self):
        inks = np.array([[[0, 0, 0, 0], [0, 255, 255, 0], [51, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)
        assert read(inks, "TIFF", "CMYK")[0].tolist() == [[255, 255, 255], [255, 0, 0], [204, 255, 255], [0, 0, 0]]

    def test_lab(self):
        lab = np.array([[[50, 0, 0], [70, 20, 18], [30, 10, -20], [100, 0, 0], [0, 0, 0]]])
        stored = np.dstack([(lab[..., 0] * 2.55).round(), lab[..., 1:]]).astype(np.int16).astype(np.uint8)
        found = read(stored, "TIFF", "LAB")
        assert near(found, lab_in_srgb(np.dstack([stored[..., 0] / 2.55, lab[..., 1:]])), 1.5)
        assert near(found[0, 0], [119, 119, 119], 2)


class TestProfilesThatCannotBeUsed:
    GOOD = rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA))

    @pytest.mark.parametrize(
        "icc",
        [
            b"", b"no profile", GOOD[:60], GOOD[:200], b"\0" * 128, GOOD.replace(b"rTRC", b"none"),
            GOOD.replace(b"RGB XYZ ", b"6CLRXYZ "), GOOD.replace(b"mntr", b"link"), grey_profile(gamma_curve(1.8)),
            cmyk_profile(np.zeros((2, 2, 2, 2, 3))), GOOD.replace(b"XYZ \0", b"curv\0"),
            rgb_profile(ADOBE_RGB, gamma_curve(200)),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_the_photograph_is_srgb(self, icc, kind):
        assert np.array_equal(read(COLORS, kind, icc_profile=icc), COLORS)

    def test_inks_and_greys_too(self):
        inks = np.array([[[0, 255, 255, 0]]], np.uint8)
        assert read(inks, "TIFF", "CMYK", icc_profile=self.GOOD).tolist() == [[[255, 0, 0]]]
        black = cmyk_profile(np.zeros((2, 2, 2, 2, 3)))  # paper of its own is black
        assert read(inks, "TIFF", "CMYK", icc_profile=black).tolist() == [[[255, 0, 0]]]
        assert read(COLORS[..., 0], icc_profile=b"no profile")[0, :, 2].tolist() == COLORS[0, :, 0].tolist()

    def test_any_damage(self):
        random = np.random.default_rng(0)
        for _ in range(200):
            icc = bytearray(self.GOOD)
            for position in random.integers(0, len(icc), 6):
                icc[position] = random.integers(0, 256)
            assert read(COLORS, icc_profile=bytes(icc)).shape == (1, 8, 3)


class TestPng:
    """What PNG says without a profile."""

    CHROMATICITIES = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)  # of Adobe RGB

    def with_chunks(self, *chunks: tuple[bytes, bytes]) -> np.ndarray:
        data = io.BytesIO()
        Image.fromarray(COLORS).save(data, "PNG")
        content = data.getvalue()
        made = b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
        return read_photo(io.BytesIO(content[:33] + made + content[33:]), "a")

    def test_gamma(self):
        linear = self.with_chunks((b"gAMA", struct.pack(">I", 100_000)))
        assert near(linear, encode_srgb(COLORS / 255))
        assert np.array_equal(self.with_chunks((b"gAMA", struct.pack(">I", 45_455))), COLORS)  # is sRGB's

    def test_chromaticities(self):
        chunk = (b"cHRM", struct.pack(">8I", *self.CHROMATICITIES))
        assert near(self.with_chunks(chunk), in_srgb(decode_srgb(COLORS), ADOBE_RGB))
        both = self.with_chunks((b"gAMA", struct.pack(">I", 50_000)), chunk)
        assert near(both, in_srgb((COLORS / 255) ** 2, ADOBE_RGB))

    def test_what_says_that_it_is_srgb_is(self):
        chunks = [(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", struct.pack(">8I", *self.CHROMATICITIES))]
        assert np.array_equal(self.with_chunks((b"sRGB", b"\0"), *chunks), COLORS)

    @pytest.mark.parametrize(
        "values", [[0] * 8, [31270, 32900, *[64000, 33000] * 3], [31270, 0, 1, 2, 3, 4, 5, 6], [4_000_000_000] * 8]
    )
    def test_nonsense_is_srgb(self, values):
        assert np.array_equal(self.with_chunks((b"cHRM", struct.pack(">8I", *values))), COLORS)
        assert np.array_equal(self.with_chunks((b"gAMA", struct.pack(">I", 0))), COLORS)

    def test_damaged_notes_are_left_out(self):
        """Pillow refuses a file for a checksum, or for the size, of what its pixels do not need."""
        data = io.BytesIO()
        Image.fromarray(COLORS).save(data, "PNG")
        content = data.getvalue()
        for name, body, checksum in (
            (b"iCCP", b"name\0\0" + zlib.compress(b"profile"), 0),
            (b"iCCP", b"name\0\7what", None),
            (b"iCCP", b"name\0\0" + zlib.compress(bytes(2_000_000)), None),
            (b"zTXt", b"name\0\0" + zlib.compress(bytes(2_000_000)), None),
            (b"pHYs", b"1", None),
            (b"gAMA", b"", None),
            (b"sRGB", b"", None),
            (b"eXIf", b"MM", 0),
        ):
            checksum = zlib.crc32(name + body) if checksum is None else checksum
            chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
            odd = content[:33] + chunk + content[33:]
            assert np.array_equal(read_photo(io.BytesIO(odd), "a"), COLORS)
