"""Runs in the environment of MediaPipe: MODEL IMAGE.png... -> one JSON object a line, scores by label."""

import json
import sys

import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    for path in sys.argv[2:]:
        result = classifier.classify(mp.Image.create_from_file(path))
        categories = result.classifications[0].categories
        sys.stdout.write(json.dumps({category.category_name: category.score for category in categories}) + "\n")
