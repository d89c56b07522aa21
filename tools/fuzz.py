"""Mutated images, DICOM files and models through ``predict`` and the server: what became of each, as JSON.

::

    python tools/fuzz.py --count 10000 --out reports/robustness.json

Right is a record whose numbers are numbers, or a model that opens; refused are those that were turned down with a
reason. Wrong is an exception of another kind, an answer of 5xx, a time over ``SECONDS``, a death of the process or a
peak of memory over ``MEMORY``. Everything runs in child processes, so that a death is counted and not shared.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

SECONDS: Final = 30.0
"""That one input may take; on an idle machine the slowest of all took one."""

MEMORY: Final = 2**30
"""Bytes that a process may hold at its peak, beside what it holds before the first input."""

BATCH: Final = 50
"""Inputs a child process works through."""


@dataclass
class Outcome:
    """What became of the inputs of one kind.

    Attributes:
        kind: image format, DICOM transfer syntax or part of a model file, and the way it came in.
        tried: inputs.
        right: judged, or opened.
        refused: turned down with a reason.
        wrong: anything else.
        slowest_seconds: of one input.
        peak_bytes: memory of the process beside what it held before.
        faults: what went wrong, with the seed that makes the input again.
    """

    kind: str
    tried: int = 0
    right: int = 0
    refused: int = 0
    wrong: int = 0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    faults: list[str] = field(default_factory=list)


def seeds() -> dict[str, bytes]:
    """A sound file of each kind: a drawn chest, nobody's radiograph."""
    import numpy as np
    from PIL import Image

    from pneumoscope.datasets.phantom import chest_phantom

    chest = Image.fromarray(chest_phantom(200))
    files = {}
    kinds: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 85}, "PNG": {}, "TIFF": {"compression": "tiff_lzw"}, "BMP": {}, "GIF": {}, "WebP": {},
    }  # fmt: skip
    for name, options in kinds.items():
        stream = BytesIO()
        chest.save(stream, name, **options)
        files[name] = stream.getvalue()
    stream = BytesIO()
    chest.save(stream, "JPEG", progressive=True)
    files["JPEG, progressive"] = stream.getvalue()
    stream = BytesIO()
    Image.fromarray(np.asarray(chest).astype(np.uint16) * 257).save(stream, "PNG")
    files["PNG of 16 bits"] = stream.getvalue()
    return files | _dicom_seeds(np.asarray(chest).astype(np.uint16) * 16)


def _dicom_seeds(stored: Any) -> dict[str, bytes]:
    import imagecodecs
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ComputedRadiographyImageStorage

    files = {}
    for name, syntax, encode in (
        ("DICOM", "1.2.840.10008.1.2.1", None),
        ("DICOM, JPEG lossless", "1.2.840.10008.1.2.4.70", _lossless),
        ("DICOM, JPEG-LS", "1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
        ("DICOM, JPEG 2000", "1.2.840.10008.1.2.4.90", imagecodecs.jpeg2k_encode),
    ):
        meta, dataset = FileMetaDataset(), Dataset()
        meta.TransferSyntaxUID = UID(syntax)
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ComputedRadiographyImageStorage
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
        dataset.file_meta, dataset.Modality, dataset.ViewPosition, dataset.PatientAge = meta, "CR", "PA", "003Y"
        dataset.Rows, dataset.Columns = stored.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.WindowCenter, dataset.WindowWidth, dataset.PixelPaddingValue = 2048, 4096, 0
        dataset["PixelPaddingValue"].VR = "US"
        dataset.PixelData = encapsulate([encode(stored)]) if encode else stored.tobytes()
        dataset["PixelData"].VR = "OB" if encode else "OW"
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        files[name] = stream.getvalue()
    return files


def _lossless(values: Any) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=16))


def mutated(content: bytes, seed: int) -> bytes:
    """The same bytes with some overwritten (mostly in the header), inserted, doubled, cut out, or without an end.

    Args:
        content: a sound file.
        seed: decides all.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    data = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        reach = draw.choice([64, 600, 1200, len(data)])
        at = draw.randrange(max(1, min(reach, len(data))))
        what = draw.choice(["set", "set", "flip", "extreme", "insert", "double", "cut", "truncate"])
        if what == "set":
            data[at : at + 4] = draw.randbytes(draw.randint(1, 4))
        elif what == "flip" and data:
            data[min(at, len(data) - 1)] ^= 1 << draw.randrange(8)
        elif what == "extreme":
            data[at : at + 4] = draw.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\x80\0"])
        elif what == "insert":
            data[at:at] = draw.randbytes(draw.randint(1, 64))
        elif what == "double":
            data[at:at] = data[at : at + draw.randint(1, 4096)]
        elif what == "cut":
            del data[at : at + draw.randint(1, 64)]
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)


def _predict(model: Any, content: bytes) -> bool:
    record = model.predict(content).as_dict()
    json.dumps(record, allow_nan=False)
    if record["status"] == "ok":
        assert 0 <= record["probability"] <= 1 and math.isfinite(record["typicality"])
        return True
    assert record["reasons"]
    return False


def _serve(client: Any, content: bytes) -> bool:
    response = client.post("/api/v1/predict?heatmap=true", data=content, content_type="application/octet-stream")
    assert response.status_code < 500, f"status {response.status_code}"
    return bool(response.status_code == 200)


def _open_model(content: bytes) -> bool:
    from pneumoscope.errors import ModelError
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.packaging import unpack

    try:
        Model(unpack(content, "model"), origin="model")
    except ModelError:
        return False
    return True


def _judge_batch(kind: str, content: bytes, numbers: range, way: str, results: Any) -> None:
    """Work through a batch in a process of its own and report after each input."""
    use: Callable[[bytes], bool]
    if way == "model":
        use = _open_model
    else:
        from pneumoscope.model.classifier import load_model

        model = load_model()
        if way == "server":
            from pneumoscope.serving.http.app import create_app
            from pneumoscope.serving.settings import Settings

            client = create_app(model, Settings(workers=1, rate_limit=None)).test_client()
            use = lambda data: _serve(client, data)  # noqa: E731
        else:
            use = lambda data: _predict(model, data)  # noqa: E731
        use(content)
    before = _peak()
    for number in numbers:
        start, fault, right = time.perf_counter(), "", False
        try:
            right = use(_changed(kind, content, number))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            fault = f"{kind}, {way}, seed {number}: {type(error).__name__} {str(error)[:100]}"
        results.put((right, fault, time.perf_counter() - start, _peak() - before))
    results.put(None)


def _changed(kind: str, content: bytes, seed: int) -> bytes:
    if kind != "model, its archive":
        return mutated(content, seed)
    # The graph is hashed, so a change there is told at once: mutate what is appended to it.
    start = content.rfind(b"PK\x03\x04", 0, content.find(b"labels.txt"))
    return content[:start] + mutated(content[start:], seed)


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(count: int, first_seed: int = 0) -> Iterator[Outcome]:
    """Try ``count`` mutated inputs, the same number of each kind.

    Args:
        count: in all.
        first_seed: of the first input.
    """
    from importlib import resources

    files = seeds()
    model = (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()
    work = [(kind, content, way) for kind, content in files.items() for way in ("predict", "server")]
    work += [("model, its graph", model, "model"), ("model, its archive", model, "model")]
    each = max(1, round(count / len(work)))
    for kind, content, way in work:
        outcome = Outcome(kind if way == "model" else f"{kind}, {way}")
        for begin in range(first_seed, first_seed + each, BATCH):
            _try_batch(kind, content, range(begin, min(begin + BATCH, first_seed + each)), way, outcome)
        yield outcome


def _try_batch(kind: str, content: bytes, numbers: range, way: str, outcome: Outcome) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_judge_batch, args=(kind, content, numbers, way, results), daemon=False)
    process.start()
    for number in numbers:
        try:
            answer = results.get(timeout=10 * SECONDS)
        except Exception:  # noqa: BLE001 - queue.Empty: it hangs, or died
            answer = None
        outcome.tried += 1
        if answer is None:
            outcome.wrong += 1
            outcome.faults.append(f"{kind}, {way}, seed {number}: the process hung or died ({process.exitcode})")
            process.kill()
            break
        right, fault, seconds, peak = answer
        if not fault and (seconds > SECONDS or peak > MEMORY):
            fault = f"{kind}, {way}, seed {number}: {seconds:.1f} s, {peak / 2**20:.0f} MiB"
        outcome.right += right and not fault
        outcome.refused += not right and not fault
        outcome.wrong += bool(fault)
        outcome.faults += [fault] if fault else []
        outcome.slowest_seconds = max(outcome.slowest_seconds, round(seconds, 2))
        outcome.peak_bytes = max(outcome.peak_bytes, peak)
    process.join(10)


def main() -> None:
    """Try them and write what became of them; status 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports/robustness.json"))
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    for outcome in run(options.count, options.seed):
        outcomes.append(outcome)
        print(
            f"{outcome.kind}: {outcome.tried} tried, {outcome.right} right, {outcome.refused} refused, "
            f"{outcome.wrong} wrong, slowest {outcome.slowest_seconds} s",
            flush=True,
        )
        _write(options.out, options.seed, outcomes)  # after each kind: a run that is stopped says how far it came
    raise SystemExit(1 if any(outcome.wrong for outcome in outcomes) else 0)


def _write(file: Path, seed: int, outcomes: list[Outcome]) -> None:
    totals = {key: sum(getattr(o, key) for o in outcomes) for key in ("tried", "right", "refused", "wrong")}
    report = {"seed": seed, "seconds": SECONDS, "memory": MEMORY, "totals": totals}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report | {"kinds": [asdict(o) for o in outcomes]}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
