"""The model: a small decoder of the Qwen2 architecture in plain PyTorch.

Shapes are written as B (batch), T (tokens), H (heads), K (key heads), D (width of a head), C (width).
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Settings:
    """The sizes of a model."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    key_heads: int = 2
    inner: int = 384
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-6

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    def as_dict(self) -> dict[str, int | float]:
        """Return the sizes by name, for a checkpoint."""
        return asdict(self)


def rotation(settings: Settings) -> Tensor:
    """Return cosines and sines of the rotary positions, of shape (2, context, D)."""
    half = torch.arange(0, settings.head_width, 2, dtype=torch.float32) / settings.head_width
    angles = torch.outer(torch.arange(settings.context, dtype=torch.float32), settings.rope_base**-half)
    angles = torch.cat([angles, angles], dim=1)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turn queries or keys (B, H, T, D) by their positions; ``turn`` is (2, T, D)."""
    first, second = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat([-second, first], dim=-1) * turn[1]


class Attention(nn.Module):
    """Causal attention with grouped key heads; biases on queries, keys and values as in Qwen2."""

    def __init__(self, settings: Settings) -> None:
        """Make the four projections."""
        super().__init__()
        self.settings = settings
        shared = settings.key_heads * settings.head_width
        self.query = nn.Linear(settings.width, settings.width)
        self.key = nn.Linear(settings.width, shared)
        self.value = nn.Linear(settings.width, shared)
        self.output = nn.Linear(settings.width, settings.width, bias=False)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """Mix earlier positions into each position: (B, T, C) to (B, T, C)."""
        batch, length, width = x.shape
        shape = (batch, length, -1, self.settings.head_width)
        query = rotate(self.query(x).view(shape).transpose(1, 2), turn)
        key = rotate(self.key(x).view(shape).transpose(1, 2), turn)
        value = self.value(x).view(shape).transpose(1, 2)
        groups = self.settings.heads // self.settings.key_heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    """One layer: attention, then a gated feed-forward network, each with a norm before it."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts of the layer."""
        super().__init__()
        self.attention_norm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        self.attention = Attention(settings)
        self.inner_norm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        self.gate = nn.Linear(settings.width, settings.inner, bias=False)
        self.up = nn.Linear(settings.width, settings.inner, bias=False)
        self.down = nn.Linear(settings.inner, settings.width, bias=False)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """Apply the layer: (B, T, C) to (B, T, C)."""
        x = x + self.attention(self.attention_norm(x), turn)
        inner = self.inner_norm(x)
        return x + self.down(functional.silu(self.gate(inner)) * self.up(inner))


class Model(nn.Module):
    """The decoder; the embedding is also the output matrix."""

    def __init__(self, settings: Settings) -> None:
        """Make the layers and draw small initial weights."""
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.vocabulary, settings.width)
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.layers))
        self.norm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        self.register_buffer("turn", rotation(settings), persistent=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the last hidden states (B, T, C) of the tokens (B, T)."""
        x = self.embedding(tokens)
        turn = self.turn[:, : tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of all tokens (…, V) for hidden states (…, C)."""
        return functional.linear(hidden, self.embedding.weight)
