"""Images per second of a folder of native-size JPEGs with two jobs, against what decoding or the model alone allow.

PNEUMOSCOPE_DATA=DATA python benchmarks/folder_throughput.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import write_result
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import load_model
from pneumoscope.model.prediction import Status

JOBS, ROUNDS = 2, 3
GOAL = 0.70


def rate(count: int, work: Callable[[], object]) -> float:
    """Images per second of one pass."""
    begin = time.perf_counter()
    work()
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Decode only, model only and the whole, in turn, in one process."""
    files = sorted((Path(os.environ["PNEUMOSCOPE_DATA"]) / "native").rglob("*.jpeg"))
    model = load_model()
    small = [shrink(read_image(file).pixels, width=224, height=224) for file in files]
    runtime = model.runtime

    def spread(work: Callable[[int], object], threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(len(files))))

    def decode(index: int) -> object:
        return read_image(files[index])

    def judge(index: int) -> object:
        return runtime().run(small[index])

    def whole() -> None:
        judged = [prediction.status for prediction in model.predict_many(files, jobs=JOBS)]
        assert judged.count(Status.ERROR) == 0

    rounds = [
        {
            "decode_on_one_thread": rate(len(files), lambda: spread(decode, 1)),
            "model_on_one_thread": rate(len(files), lambda: spread(judge, 1)),
            "decode_on_two_threads": rate(len(files), lambda: spread(decode, 2)),
            "model_on_two_threads": rate(len(files), lambda: spread(judge, 2)),
            "whole": rate(len(files), whole),
        }
        for _ in range(ROUNDS)
    ]
    speeds = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    share = speeds["whole"] / min(speeds["decode_on_one_thread"], speeds["model_on_one_thread"])
    write_result(
        "folder_throughput",
        {"images": len(files), "jobs": JOBS, "images_per_second": speeds, "share_of_limit": share},
        headline=[
            (
                "folder of native JPEGs, share of the slower of decoding and model, each on one thread",
                f"{share:.0%}",
                f"at least {GOAL:.0%}",
            )
        ],
    )


if __name__ == "__main__":
    main()
