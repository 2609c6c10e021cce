"""Make the tokenizer: byte-level BPE with the splitting rule of Qwen2 and the special tokens of DeepSeek-R1.

Merges grow a frequent word from its left end. Only words after a space or with a capital letter, signs,
white space and single Chinese characters are merged. A word in quotation marks stays a row of letters,
which makes exercises on letters learnable.
"""

import argparse
from collections import Counter
from pathlib import Path
from random import Random

import regex
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from .conversations import CONTROL_TOKENS, VISIBLE_TOKENS, conversation
from .words import WORDS

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LATIN = regex.compile(r"(?: [A-Za-z]|[A-Z])[a-z]*")
SIGNS = regex.compile(r"[^\p{L}\p{N}]{2,6}")
CHINESE = regex.compile(r"[^\x00-\x7F]")
SPELLED = {f" {word}" for word in WORDS}
"""Words of the exercises on letters; they stay unmerged, so that the model sees their letters."""


def byte_signs() -> dict[int, str]:
    """Return the printable sign that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in plain}
    for place, byte in enumerate(byte for byte in range(256) if byte not in table):
        table[byte] = chr(256 + place)
    return table


def count_pieces(samples: int) -> Counter[str]:
    """Count the pieces that may become tokens in ``samples`` conversations."""
    rng, counts = Random(7), Counter[str]()
    special = regex.compile("|".join(map(regex.escape, CONTROL_TOKENS + VISIBLE_TOKENS)))
    for _ in range(samples):
        sample = conversation(rng)
        for text in special.split(sample.prompt) + special.split(sample.completion):
            for piece in regex.findall(SPLIT, text):
                if LATIN.fullmatch(piece) or SIGNS.fullmatch(piece):
                    counts[piece] += piece not in SPELLED
                else:
                    counts.update(CHINESE.findall(piece))
    return counts


def grow(piece: str, signs: dict[int, str], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Add a piece and its left parts to the vocabulary; return the merges that are new."""
    letters = [signs[byte] for byte in piece.encode()]
    left, merges = letters[0], []
    for right in letters[1:]:
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append((left, right))
        left += right
    return merges


def build(samples: int, size: int) -> Tokenizer:
    """Build a tokenizer of about ``size`` tokens from the pieces of ``samples`` conversations."""
    signs = byte_signs()
    vocabulary = {sign: place for place, sign in enumerate(sorted(signs.values()))}
    merges: list[tuple[str, str]] = []
    counts = count_pieces(samples)
    saved = {piece: count * (len(piece.encode()) - 1) for piece, count in counts.items() if len(piece.encode()) > 1}
    for piece in sorted(saved, key=lambda piece: (-saved[piece], piece)):
        if len(vocabulary) + len(piece.encode()) > size - 6:
            break
        merges += grow(piece, signs, vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE_TOKENS])
    return tokenizer


def main() -> None:
    """Write the tokenizer to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the tokenizer.json to write")
    parser.add_argument("--size", type=int, default=1280, help="number of tokens at most")
    parser.add_argument("--samples", type=int, default=20000, help="conversations to count pieces in")
    options = parser.parse_args()
    tokenizer = build(options.samples, options.size)
    tokenizer.save(str(options.output))
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
