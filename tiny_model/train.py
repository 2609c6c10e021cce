"""Train the model for a given time on conversations that are drawn as it goes.

A checkpoint is written every few minutes; the same command goes on from it.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from .conversations import END, WEIGHTS, Conversation, conversation
from .model import Model, Settings

POOL = 1000
"""Conversations that are drawn at once and sorted by length, so that a batch needs little padding."""
LONGEST = 1500
"""Tokens of the longest conversation that is used."""
IGNORED = -100
WARM_UP_STEPS = 40
REPORT_SECONDS = 30
SAVE_SECONDS = 240


@dataclass(slots=True)
class Sample:
    """Token numbers of one conversation; the first ``start`` are the prompt and not learned."""

    task: str
    tokens: list[int]
    start: int


@dataclass(slots=True)
class Progress:
    """What a run has done so far, and how well each task goes (share of exact answers, 0 to 1)."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    exact: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """Tokens and targets of shape (B, T), and the task of each row."""

    tokens: Tensor
    targets: Tensor
    tasks: list[str]


def encode(tokenizer: Tokenizer, drawn: list[Conversation]) -> list[Sample]:
    """Turn conversations into token numbers; too long ones are left out."""
    prompts = tokenizer.encode_batch([item.prompt for item in drawn], add_special_tokens=False)
    completions = tokenizer.encode_batch([item.completion for item in drawn], add_special_tokens=False)
    samples = [
        Sample(item.task, prompt.ids + completion.ids, len(prompt.ids))
        for item, prompt, completion in zip(drawn, prompts, completions, strict=True)
    ]
    return [sample for sample in samples if len(sample.tokens) <= LONGEST]


def collate(samples: list[Sample], padding: int) -> Batch:
    """Pad samples on the right to one length; targets are the tokens one place further."""
    length = max(len(sample.tokens) for sample in samples)
    tokens = torch.full((len(samples), length), padding)
    targets = torch.full((len(samples), length), IGNORED)
    for row, sample in enumerate(samples):
        size, values = len(sample.tokens), torch.tensor(sample.tokens)
        tokens[row, :size] = values
        targets[row, sample.start - 1 : size - 1] = values[sample.start :]
    return Batch(tokens, targets, [sample.task for sample in samples])


def shares(progress: Progress) -> dict[str, float]:
    """Give tasks that go badly a larger share: up to three times that of a mastered task."""
    return {task: weight * (1 + 2 * (1 - progress.exact.get(task, 0.5))) for task, weight in WEIGHTS.items()}


def batches(tokenizer: Tokenizer, rng: Random, size: int, progress: Progress) -> Iterator[Batch]:
    """Draw batches of about ``size`` tokens without end."""
    padding = tokenizer.token_to_id(END)
    while True:
        weights = shares(progress)
        drawn = [conversation(rng, weights) for _ in range(POOL)]
        samples = sorted(encode(tokenizer, drawn), key=lambda sample: len(sample.tokens))
        groups: list[list[Sample]] = [[]]
        for sample in samples:
            if groups[-1] and (len(groups[-1]) + 1) * len(sample.tokens) > size:
                groups.append([])
            groups[-1].append(sample)
        rng.shuffle(groups)
        yield from (collate(group, padding) for group in groups)


def optimizers(model: Model) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding, norms and biases."""
    matrices = [weight for weight in model.layers.parameters() if weight.ndim == 2]
    chosen = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=0.0, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def note_exact(progress: Progress, batch: Batch, guesses: Tensor, known: Tensor) -> None:
    """Update the share of rows of each task whose every learned token is the best guess.

    ``guesses`` are the best tokens at the places where ``known`` (B, T) is true.
    """
    wrong = torch.zeros(known.shape, dtype=torch.int32)
    wrong[known] = (guesses != batch.targets[known]).int()
    for task, errors in zip(batch.tasks, wrong.sum(1).tolist(), strict=True):
        before = progress.exact.get(task, 0.0)
        progress.exact[task] = before + 0.02 * ((errors == 0) - before)


def learn(model: Model, batch: Batch, progress: Progress) -> float:
    """Compute the gradients of one batch; return the loss in nats per token."""
    hidden = model(batch.tokens)
    known = batch.targets != IGNORED
    scores = model.logits(hidden[known])
    loss = functional.cross_entropy(scores, batch.targets[known])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    note_exact(progress, batch, scores.detach().argmax(1), known)
    progress.steps += 1
    progress.tokens += batch.tokens.numel()
    return loss.item()


def rate(peak: float, done: float, step: int, decay: float) -> float:
    """Learning rate: a short warm-up, flat, then down in a line over the last ``decay`` (share of the time)."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * min(1.0, max(0.01, (1 - done) / decay))


class Training:
    """One run with its files."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Make the model, or read the checkpoint of an earlier run."""
        self.options = options
        self.tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
        self.file: Path = options.folder / "checkpoint.pt"
        torch.manual_seed(options.seed)
        self.model = Model(Settings(self.tokenizer.get_vocab_size()))
        self.optimizers = optimizers(self.model)
        self.progress = Progress()
        if self.file.exists():
            saved = torch.load(self.file, weights_only=True)
            self.model.load_state_dict(saved["model"])
            for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.progress = Progress(**saved["progress"])

    def save(self) -> None:
        """Write the checkpoint in one step."""
        progress = {name: getattr(self.progress, name) for name in Progress.__dataclass_fields__}
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        content = {"model": self.model.state_dict(), "settings": self.model.settings.as_dict()}
        torch.save(content | {"optimizers": states, "progress": progress}, self.file.with_suffix(".new"))
        self.file.with_suffix(".new").replace(self.file)

    def step(self, batch: Batch, done: float, step: int) -> float:
        """Make one step of all optimizers; ``done`` is the share of the time that has passed."""
        loss = learn(self.model, batch, self.progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(self.options.rate, done, step, self.options.decay)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    def run(self) -> None:
        """Train until the time is over; a time in which the process stood still, or others ran, does not count."""
        rng = Random(f"{self.options.seed} {self.progress.steps}")
        total, before = self.options.minutes * 60, self.progress.seconds
        start = reported = saved = time.thread_time()
        mean = None
        for step, batch in enumerate(batches(self.tokenizer, rng, self.options.batch, self.progress)):
            now = time.thread_time()
            self.progress.seconds = before + now - start
            if self.progress.seconds >= total:
                break
            loss = self.step(batch, self.progress.seconds / total, step)
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            if now - reported > REPORT_SECONDS:
                reported = now
                self.report(mean)
            if now - saved > SAVE_SECONDS:
                saved = now
                self.save()
        self.save()

    def report(self, loss: float) -> None:
        """Print how far the run is; ``exact`` is measured with the right text before each token."""
        done = self.progress
        exact = " ".join(f"{task.replace(' ', '-')}={share:.2f}" for task, share in sorted(done.exact.items()))
        size = f"step {done.steps}, {done.tokens / 1e6:.2f} M tokens"
        print(f"{done.seconds:.0f} s, {size}, loss {loss:.4f}; {exact}", flush=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with tokenizer.json; the checkpoint goes there")
    parser.add_argument(
        "--minutes", type=float, default=70, help="processor time of the main thread, all runs together"
    )
    parser.add_argument("--rate", type=float, default=5e-3, help="largest learning rate")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the time in which the rate goes down")
    parser.add_argument("--batch", type=int, default=4096, help="tokens of a batch, padding included")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = Training(options)
    print(f"{sum(weight.numel() for weight in training.model.parameters())} parameters", flush=True)
    training.run()


if __name__ == "__main__":
    main()
