"""Decoding in processes of their own, which a budget of memory and time ends.

A codestream of a kilobyte can make its decoder allocate gigabytes, loop for hours, or crash, and none of that shows in
its header. So each is handed to a child that may take :data:`MEMORY` bytes and :data:`SECONDS`; when it takes more, or
dies, the input is at fault and the next one gets a new child. Children are kept, since starting one costs a third of a
second, and shared by all threads.

Messages both ways: the length of a JSON head (4 bytes, big endian), the head, then as many bytes as it says.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import UnreadableInputError
from pneumoscope.imaging.dicom.codecs import Codec, FrameFormat, decode_frame

MEMORY: Final = 2**30
"""Bytes that decoding one image may take beside what the process holds when it is ready."""

SECONDS: Final = 30.0
"""That decoding one image may take. 20 megapixels of JPEG 2000, the slowest, take about three."""

PROCESSES: Final = max(1, min(8, os.cpu_count() or 1))
"""At work at once."""


def write_message(stream: IO[bytes], head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Send a head and the bytes that belong to it."""
    text = json.dumps(head | {"bytes": len(body)}).encode()
    stream.write(struct.pack(">I", len(text)) + text)
    stream.write(body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray] | None:
    """Receive a head and its bytes; ``None`` where the other side is gone."""
    size = stream.read(4)
    if len(size) < 4:
        return None
    head = json.loads(stream.read(struct.unpack(">I", size)[0]) or b"{}")
    body = bytearray(head.get("bytes", 0))
    view, filled = memoryview(body), 0
    while filled < len(body):
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            return None
        filled += count
    return head, body


class _Child:
    """One decoder process."""

    def __init__(self) -> None:
        # -P: the working directory must not be able to replace a module. One thread: the processes are the threads.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.late = False

    def decode(self, frame: bytes, form: FrameFormat) -> tuple[dict[str, Any], bytearray] | None:
        """What the process answers; ``None`` where it died or was ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        watch = threading.Timer(SECONDS, self._end_late)
        watch.daemon = True
        watch.start()
        try:
            write_message(self._process.stdin, dataclasses.asdict(form), frame)
            return read_message(self._process.stdout)
        except OSError:
            return None
        finally:
            watch.cancel()

    def _end_late(self) -> None:
        self.late = True
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was not sent any more
        self._process.wait()


class DecoderPool:
    """The decoder processes of this process; any number of threads may use them."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PROCESSES)

    def decode(self, frame: bytes, form: FrameFormat, name: str) -> NDArray[Any]:
        """Decode one encapsulated frame within the budget.

        Args:
            frame: the codestream.
            form: what the header says of it.
            name: what messages call the input.

        Returns:
            As :func:`~pneumoscope.imaging.dicom.codecs.decode_frame`.

        Raises:
            UnreadableInputError: damaged, or decoding took more than its budget or crashed.
        """
        with self._places, self._child() as child:
            answer = child.decode(frame, form)
            if answer is None:
                child.end()
                fate = f"took over {SECONDS:.0f} seconds" if child.late else "crashed its decoder"
                raise UnreadableInputError(f"{name}: damaged or hostile DICOM file (its {form.codec} image {fate})")
        head, body = answer
        if "error" in head:
            raise UnreadableInputError(
                f"{name}: damaged or cut short DICOM file (its {form.codec} image: {head['error']})"
            )
        return np.frombuffer(body, head["dtype"]).reshape(head["shape"])

    @contextmanager
    def _child(self) -> Iterator[_Child]:
        with self._lock:
            if os.getpid() != self._owner:  # forked: the children are the parent's
                self._owner, self._idle = os.getpid(), []
            child = self._idle.pop() if self._idle else None
        child = child or _Child()
        try:
            yield child
        except BaseException:
            child.end()
            raise
        with self._lock:
            self._idle.append(child)

    def close(self) -> None:
        """End the processes that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        if os.getpid() == self._owner:
            for child in idle:
                child.end()


POOL: Final = DecoderPool()
atexit.register(POOL.close)


def _bound_memory() -> None:
    """Let the process take :data:`MEMORY` more than it has; where no limit can be set, time alone bounds it."""
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve_decoding() -> None:
    """Answer requests on standard input until it closes."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the answers
    import imagecodecs  # noqa: F401 - before the limit

    _bound_memory()
    while (message := read_message(requests)) is not None:
        head, body = message
        head.pop("bytes")
        try:
            decoded = decode_frame(bytes(body), FrameFormat(**(head | {"codec": Codec(head["codec"])})))
        except MemoryError:
            write_message(answers, {"error": "it needs more memory than any radiograph"})
        except BaseException as error:  # noqa: BLE001 - decoders raise whatever went wrong, panics among it
            said = " ".join(str(error).split())[:200]
            write_message(answers, {"error": said or type(error).__name__})
        else:
            head = {"dtype": decoded.dtype.str, "shape": list(decoded.shape)}
            write_message(answers, head, memoryview(decoded.data).cast("B"))


if __name__ == "__main__":
    serve_decoding()
