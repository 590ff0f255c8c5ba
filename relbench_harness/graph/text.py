"""Text as vectors without a model: hashed character n-grams; or with one, where the user names a sentence-transformer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.errors import InputError

Half = NDArray[np.float16]
Array = NDArray[Any]


@dataclass(frozen=True)
class CharacterNgrams:
    """The n-grams of a text's bytes, word ends marked, each hashed to a place and a sign; the sum has length 1.

    Weinberger et al., Feature hashing for large scale multitask learning (2009); n-grams as in Bojanowski et al., Enriching
    word vectors with subword information (2017). Equal texts have equal vectors, similar ones similar vectors.
    """

    width: int = 32
    shortest: int = 3
    longest: int = 5

    def encode(self, texts: pa.Array) -> Half:
        """(n, width); zeros where null or empty."""
        lowered = pc.utf8_lower(pc.fill_null(texts.cast(pa.large_string()), ""))
        buffers = lowered.buffers()
        offsets = np.frombuffer(buffers[1], np.int64)[lowered.offset : lowered.offset + len(lowered) + 1]
        letters = np.frombuffer(buffers[2] or b"\0", np.uint8)
        out = np.zeros((len(lowered), self.width), np.float32)
        _hash_ngrams(letters, offsets, self.shortest, self.longest, out)
        return out.astype(np.float16)


@dataclass(frozen=True)
class SentenceTransformer:
    """Vectors of the sentence-transformer called `name`, which is fetched when it is first used."""

    name: str
    width: int

    @classmethod
    def named(cls, name: str) -> SentenceTransformer:
        return cls(name, int(_transformer(name).get_sentence_embedding_dimension()))

    def encode(self, texts: pa.Array) -> Half:
        """(n, width); each distinct text is encoded once."""
        coded = pc.dictionary_encode(pc.fill_null(texts.cast(pa.large_string()), ""))
        encoded = _transformer(self.name).encode(coded.dictionary.to_pylist(), convert_to_numpy=True)
        vectors: Half = np.asarray(encoded, np.float16)[coded.indices.to_numpy()]
        return vectors


TextEncoder = CharacterNgrams | SentenceTransformer


def text_encoder(name: str | None, width: int = 32) -> TextEncoder:
    """Character n-grams where `name` is None, else the sentence-transformer of that name."""
    return CharacterNgrams(width) if name is None else SentenceTransformer.named(name)


@cache
def _transformer(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer as Loaded
    except ImportError:
        raise InputError(
            f"the text encoder {name!r} needs the package sentence-transformers; install it with: "
            "pip install sentence-transformers"
        ) from None
    try:
        return Loaded(name)
    except Exception as error:
        raise InputError(
            f"the sentence-transformer {name!r} cannot be loaded ({' '.join(str(error).split())[:200]})"
        ) from None


@compiled
def _hash_ngrams(letters: Array, offsets: Array, shortest: int, longest: int, out: Array) -> None:
    width = np.uint64(out.shape[1])
    prime, start = np.uint64(1099511628211), np.uint64(14695981039346656037)
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            continue
        # one mark before the first and one after the last letter
        for first in range(begin - 1, end):
            code = start
            for last in range(first, min(first + longest, end + 1)):
                letter = np.uint64(32) if last < begin or last >= end else np.uint64(letters[last])
                code = (code ^ letter) * prime
                if last - first + 1 >= shortest or (first < begin and last >= end):
                    mixed = (code ^ (code >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
                    sign = 1.0 if mixed >> np.uint64(63) else -1.0
                    out[row, (mixed >> np.uint64(20)) % width] += sign
        square = 0.0
        for j in range(out.shape[1]):
            square += out[row, j] * out[row, j]
        if square > 0.0:
            for j in range(out.shape[1]):
                out[row, j] /= np.sqrt(square)
