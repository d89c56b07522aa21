"""Decoding in a process with a budget: what comes back, and what happens to a child that takes more."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from pneumoscope.errors import UnreadableInputError
from pneumoscope.imaging.dicom import decoder_process
from pneumoscope.imaging.dicom.codecs import Codec, FrameFormat
from pneumoscope.imaging.dicom.decoder_process import DecoderPool
from support.phantom import chest_phantom

CHEST = chest_phantom((160, 200))
DEEP = CHEST.astype(np.uint16) * 16
FORM = FrameFormat(Codec.JPEG_2000, 160, 200, 1, 16)


@pytest.fixture
def pool() -> DecoderPool:
    return DecoderPool()


def test_lossless_codecs_give_the_values_back(pool: DecoderPool) -> None:
    for codec, frame in (
        (Codec.JPEG_2000, imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True)),
        (Codec.JPEG_LS, imagecodecs.jpegls_encode(DEEP)),
        (Codec.JPEG, imagecodecs.jpeg8_encode(DEEP, lossless=True, bitspersample=16)),
    ):
        assert np.array_equal(pool.decode(bytes(frame), FrameFormat(codec, 160, 200, 1, 16), "x"), DEEP), codec
    pool.close()


def test_a_process_is_kept_and_a_new_one_follows_one_that_died(pool: DecoderPool) -> None:
    frame = bytes(imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True))
    pool.decode(frame, FORM, "x")
    (child,) = pool._idle
    pool.decode(frame, FORM, "x")
    assert pool._idle == [child]
    os.kill(child._process.pid, signal.SIGKILL)
    with pytest.raises(UnreadableInputError, match="x: damaged or hostile DICOM file"):
        pool.decode(frame, FORM, "x")
    assert np.array_equal(pool.decode(frame, FORM, "x"), DEEP)
    pool.close()


def test_a_damaged_frame_is_an_error_and_the_process_goes_on(pool: DecoderPool) -> None:
    with pytest.raises(UnreadableInputError, match="damaged or cut short DICOM file"):
        pool.decode(b"\xff\x4f\xff\x51" + bytes(100), FORM, "x")
    assert len(pool._idle) == 1
    with pytest.raises(UnreadableInputError, match="header says"):
        pool.decode(bytes(imagecodecs.jpeg2k_encode(CHEST[:50])), FORM, "x")
    pool.close()


def test_a_process_that_takes_too_long_is_ended(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = bytes(imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True))
    pool.decode(frame, FORM, "x")
    os.kill(pool._idle[0]._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(decoder_process, "SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(UnreadableInputError, match="took over"):
        pool.decode(frame, FORM, "x")
    assert time.monotonic() - start < 5
    pool.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux")
def test_memory_is_bounded(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = bytes(imagecodecs.jpeg2k_encode(np.zeros((20_000, 20_000), np.uint8), level=0, reversible=True))
    form = FrameFormat(Codec.JPEG_2000, 20_000, 20_000, 1, 8)  # beyond what the reader lets through
    pool.decode(bytes(imagecodecs.jpeg2k_encode(DEEP)), FORM, "x")
    limits = Path(f"/proc/{pool._idle[0]._process.pid}/limits").read_text("ascii")
    space = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert int(space.split()[3]) < 2**32
    with pytest.raises(UnreadableInputError, match="JPEG 2000 image"):
        pool.decode(frame, form, "x")
    for child in pool._idle:
        status = Path(f"/proc/{child._process.pid}/status").read_text("ascii")
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 1.5 * 2**20  # KiB
    pool.close()
