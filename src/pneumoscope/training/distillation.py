"""Learning from finished networks: part of each target is what teachers say about the very same picture.

Hinton et al. 2015 (arXiv 1503.02531) at temperature 1, where cross-entropy against a mixed target is the mixture of
both losses. Teachers see each picture as it was varied for the student (Beyer et al. 2022,
doi 10.1109/CVPR52688.2022.01065): an answer for another crop would teach the wrong thing.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import TrainingError
from pneumoscope.training.run_folder import RunFolder


class Teachers:
    """Finished networks whose mean answer is taught."""

    def __init__(self, runs: Sequence[RunFolder], *, classes: int) -> None:
        """Load the best weights of each run.

        Args:
            runs: at least one.
            classes: of the student, 2 or 3.

        Raises:
            TrainingError: a teacher was trained for other classes than the student, or cannot be read.
        """
        for run in runs:
            theirs = run.read_settings()[0].classes
            if theirs != classes:
                raise TrainingError(f"{run.path}: a teacher of {theirs} classes cannot teach a student of {classes}")
        networks = [run.load_best() for run in runs]
        self._networks = [keras.Model(each.input, each.output["logits"]) for each in networks]

    def probabilities(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean probability over the teachers, in the shape of the student's logits.

        Args:
            pixels: ``float32 [B, 224, 224, 1]``, grey levels 0..255.

        Returns:
            ``float32 [B, 3]``, rows summing to 1; ``[B, 1]`` of pneumonia for two classes.
        """
        answers = [_probabilities(network, pixels) for network in self._networks]
        return np.asarray(np.mean(answers, axis=0), np.float32)


def _probabilities(network: keras.Model, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    logits = keras.ops.cast(network.predict_on_batch(pixels), "float32")
    squashed = keras.ops.softmax(logits) if logits.shape[-1] > 1 else keras.ops.sigmoid(logits)
    return np.asarray(keras.ops.convert_to_numpy(squashed), np.float32)
