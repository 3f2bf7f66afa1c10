"""What the module of each slot must offer: one Protocol a slot, with shapes and dtypes.

Every module is made by `Class(config, context)`, where `config` is filled. One of any slot that uses only a share of
some weights for a token says so by `active`, a mapping from names of its own submodules and parameters to Fractions: a
mixture of experts {"experts": k / X}. Active parameters are counted by it. Legend: B rows, T new positions in a call,
S positions a query may see, D model dim, H query heads, K key/value heads, E head dim, V vocabulary. Activations have
the dtype of the weights; tokens, index and positions are int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import attrs

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from llm_build.corpus import Batch
    from llm_build.document import Document
    from llm_build.progress import Progress
    from llm_build.run import Job, Outcome
    from llm_build.step import Field, Sizes, State, StateMemory, StateSpec, Step, View

    Losses = Mapping[str, Tensor]
    Branch = Callable[[Tensor], Tensor]
    Allowed = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Norm(Protocol):
    def forward(self, x: Tensor) -> Tensor:
        """[..., D] → [..., D]; the statistics are those of the last axis alone."""


@runtime_checkable
class Activation(Protocol):
    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""


@runtime_checkable
class FFN(Protocol):
    """With the capability "grouped", and `context.experts` = X, it is X experts in one: `forward(rows [R, D], groups)`,
    where `groups` takes the place of every linear map. What it is made of must have the capability too: an activation
    has it that acts alike for all experts.
    """

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Losses]:
        """[B, T, D] → [B, T, D], each position by itself; beside it, the scalar losses that travel upwards, if any."""


class Groups(Protocol):
    """Rows that are sent to experts: which expert each of them belongs to. Not a slot."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [R, in], weight [X, out, in], bias [X, out] → [R, out], each row by its own expert's map."""

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        """The same, in one piece or in two halves [R, out / 2], whichever is faster."""


@runtime_checkable
class Router(Protocol):
    """Sends each position to some of `context.experts` experts."""

    k: int
    """How many experts a position is sent to."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Losses]:
        """x [N, D] → weights [N, k] in float32 or wider, experts [N, k] int64, no two alike in a row, and losses."""


@runtime_checkable
class Position(Protocol):
    """A position component does one of these; its capability says which: "rotary" or "additive".

    One that rotates may have `score_factor`, a float that softmax attention multiplies its scale with; 1.0 where it has
    none.
    """

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """rotary: x [B, T, H, E], positions [B, T] → [B, T, H, E]; applied to queries and to keys."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """additive: x [B, T, D], positions [B, T] → [B, T, D]; applied once, after the token embedding."""


@runtime_checkable
class Scaling(Protocol):
    """How rotary positions are made to reach further than they were trained for."""

    amplitude: float
    """What cosines and sines are multiplied by."""
    score_factor: float
    """What the scores of the whole head are multiplied by, also those of dimensions that do not rotate."""

    def scaled(self, frequencies: Tensor, theta: float) -> Tensor:
        """frequencies [R / 2] in radians a position, theta^(-2i / R) for pair i, in float32 or wider → [R / 2]."""


@runtime_checkable
class Mask(Protocol):
    """Which keys a query may see, beside the padding and the documents that a Step knows of."""

    causal: bool
    window: int | None
    allowed: Allowed | None
    """(q_index [B, T, 1], k_index [B, 1, S]) → bool [B, T, S], for what `causal` and `window` cannot say; or None."""


@runtime_checkable
class Attention(Protocol):
    """Any sequence mixer: attention, recurrence, convolution.

    Built where `context.memory` is set, it reads the memory, of this call or stored, in place of its own sequence.
    """

    state_spec: StateSpec
    """What it keeps while generating; fixed at construction."""

    def forward(self, x: Tensor, step: Step) -> Tensor:
        """[B, T, D] → [B, T, D]; the only place where positions exchange information."""


@runtime_checkable
class Placement(Protocol):
    """Where the norms sit and how the branches join the residual stream. Built for `context.branches`."""

    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:
        """x [B, T, D] and one function [B, T, D] → [B, T, D] a branch, in order → [B, T, D]."""


@runtime_checkable
class Block(Protocol):
    state_spec: Mapping[str, StateSpec]
    """The state of each mixer by its name; `step.at(name)` hands a mixer its own."""

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, Losses]:
        """[B, T, D] → [B, T, D] and the losses of its parts."""


@runtime_checkable
class Stack(Protocol):
    """Its config has the blocks in the field `layers`."""

    state_spec: Sequence[Mapping[str, StateSpec]]
    """One entry a layer."""

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, Losses]:
        """[B, T, D] → [B, T, D] and the losses of its layers, each summed over them."""


@runtime_checkable
class Embedding(Protocol):
    weight: Tensor
    """[V, D], for a head that is tied to it."""

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] int64 → [B, T, D]."""


@runtime_checkable
class Head(Protocol):
    def forward(self, x: Tensor) -> Tensor:
        """[..., D] → [..., V] logits."""

    def tie(self, embedding: Embedding) -> None:
        """Called once by the model; a head whose config says so takes the embedding's weight for its own."""


@runtime_checkable
class Initialiser(Protocol):
    def initialise(self, model: nn.Module, generator: torch.Generator) -> None:
        """Draw every weight anew, in place. A module that has `initialise(draw)` draws its own direct parameters:
        `draw(tensor)` fills one, `draw(tensor, residual=True)` one that writes into the residual stream.
        """


@runtime_checkable
class Model(Protocol):
    state_spec: Sequence[Mapping[str, StateSpec]]
    """One entry a layer."""
    head: Head
    context: int
    vocab: int

    def forward(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """tokens [B, T] → logits [B, T, V]. Real tokens stand first in their row; `count` [B] says how many."""

    def hidden(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> tuple[Tensor, Losses]:
        """The same arguments → what the head receives [B, T, D], and the losses of the layers."""


@runtime_checkable
class SourceModel(Model, Protocol):
    """A model with the capability "encoder": it reads a source before it writes.

    Its `forward` and `hidden` take `memory` [B, M, D] and `memory_count` [B] too: how many places of each row's memory
    are real, and with a state -1 for a row that keeps what it has stored. A call on a state may leave the memory out.
    """

    def encode(self, tokens: Tensor, count: Tensor | None = None) -> Tensor:
        """source [B, M] int64 → memory [B, M, D]. Real tokens stand first in their row; `count` [B] says how many."""

    def encoded(self, tokens: Tensor, count: Tensor | None = None) -> tuple[Tensor, Losses]:
        """The same arguments → the memory, and the losses of the encoder's layers."""


def reads_source(model: Any) -> TypeGuard[SourceModel]:
    """Whether a model is a `SourceModel`.

    Not by isinstance: from Python 3.12 on that does not see the parts of a torch module.
    """
    return callable(getattr(model, "encoded", None))


@runtime_checkable
class Data(Protocol):
    def documents(self, progress: Progress) -> Sequence[Document]:
        """All documents, whole. Raises `DataError` where there is nothing to read.

        Either all of them have a source or none has; a config whose documents have one says so by its method
        `paired()`. What takes long, such as a download, is told to `progress`.
        """

    def split(self, progress: Progress) -> tuple[Sequence[Document], Sequence[Document]]:
        """(training, held-out) documents, without one in both: those with the same `key` stand on one side.

        Where there is only one, it may be cut in two; both pieces say so by `whole`. Raises `DataError` as `documents`
        does, and where nothing can be held out.
        """


@runtime_checkable
class Mixture(Data, Protocol):
    """Data that is made of other data. Its parts are read instead of its own `split`, which gives all their documents.

    Training draws examples from `parts` in the proportion of `weights`, all above 0, which need not sum to 1.
    """

    parts: Sequence[Data]
    weights: Sequence[Fraction]


@runtime_checkable
class Tokenizer(Protocol):
    vocab_size: int
    eos: int | None
    pad: int | None

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the vocabulary; does nothing for one that was loaded."""

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""

    def load(self, path: Path) -> None:
        """Read tokenizer.json."""


@runtime_checkable
class Objective(Protocol):
    """Keeps nothing between steps, but for what the model holds: a run that goes on makes it anew."""

    def loss(self, model: Any, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss to minimise over the targets of a batch that count, and its parts to log.

        The part "nll" is the mean cross-entropy in nats a token, whatever else is minimised.
        """


@runtime_checkable
class Optimizer(Protocol):
    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A torch optimiser over the model's parameters; each group's "lr" is its peak learning rate."""


@runtime_checkable
class Schedule(Protocol):
    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`: a number from 0 to 1."""


@runtime_checkable
class Trainer(Protocol):
    """What memory it takes is found by a rehearsal: two steps of it on a job of which nothing stays, without numbers.

    A config may have a method `rehearsed(context)`, which gives itself cut down to what takes as much.
    """

    def train(self, job: Job) -> Outcome:
        """Train `job.model`, leaving the weights that were best in it and in the run directory.

        Raises `NonFiniteLoss` before an optimiser step that would spoil the weights.
        """


@runtime_checkable
class Logger(Protocol):
    """Writes down the figures of a training run. It is told of everything, in order, by one process."""

    def begin(self, directory: Path, mark: Any = None) -> None:
        """Start writing, in a run's directory or about it; its spec.llm is there already.

        `mark` is what the method of that name gave at the checkpoint that training goes on from, None for a new run:
        what was logged after it goes, as far as the place takes anything back. Raises `RunError` where nothing can be
        written. What is wrong whatever the directory, such as a missing library, `__init__` says before data is read.
        """

    def log(self, figures: Mapping[str, float]) -> None:
        """Figures of a step; "step" is one of them. A place that stops taking them must not stop training."""

    def mark(self) -> Any:
        """Where it stands, as plain JSON; all that was logged is safe now, as far as it can be."""

    def end(self) -> None:
        """The run is over, well or not."""


@runtime_checkable
class Sampler(Protocol):
    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits [B, V], seen [B, V] bool (tokens of the row so far) → [B, V] logits to draw from; -inf is never drawn.

        In float32 or wider. Pure: no randomness, no host synchronisation. Greedy leaves one finite entry a row.
        """


@runtime_checkable
class Cache(Protocol):
    """How what a mixer keeps is laid out in memory.

    One whose rows draw on something together, such as pages, has a method `pool(sizes, like)` too, which makes a
    `Pool`: a state asks for one, and that for the storage of every mixer. One that stores numbers otherwise than as
    they are has a method `token_bytes(field)`: what a token of a field whose dtype is stated takes.
    """

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> View:
        """Allocate the storage of one mixer, on the device of `like` and in its dtype.

        It works by itself: of a cache with a pool, every row has all its room.
        """


@runtime_checkable
class Codec(Protocol):
    """How the numbers of a field that is kept per token are stored. The dtype of every field is stated.

    Each token is stored by itself, without randomness and without waiting for the device.
    """

    def planes(self, field: Field) -> Mapping[str, Field]:
        """What one token of `field` is stored as, by a suffix of its name; "" is the first. Zeros stand for zeros."""

    def encode(self, value: Tensor, field: Field) -> Mapping[str, Tensor]:
        """[..., *field.shape] → one tensor a plane [..., *plane.shape], in its dtype."""

    def decode(self, stored: Mapping[str, Tensor], field: Field) -> Tensor:
        """What `encode` gave → [..., *field.shape] in the dtype of the field."""


@runtime_checkable
class Quantizer(Protocol):
    """Keeps weights in fewer bytes while a model writes. A run keeps them as they were trained."""

    def quantize(self, model: Any) -> Any:
        """A model beside the given one, which stays as it is; tensors that are not quantised they may share.

        One that is quantised already is given back. An `nn.Linear` that has `exact` set to True stays as it is. A
        module with a matrix of its own that has `quantise(linear)` replaces the product with it:
        `linear(weight [O, I], bias [O] or None)` makes the module that takes x [..., I] → [..., O].
        """


@attrs.frozen(kw_only=True)
class Piece:
    """Some text of one row, as it comes. The prompt is not part of it.

    `token` is the token that brought it; `text` may be empty where a character is not complete yet. The last piece of a
    row says in `finish` why it is the last: "eos", or "length" where `max_new` or the context is used up.
    """

    row: int
    text: str
    token: int | None = None
    finish: str | None = None


@runtime_checkable
class Generator(Protocol):
    """Where its config has a `quantizer` in the field of that name, that makes the model that writes."""

    prompt: str
    """What to begin with where nobody says; "" is the start of a document, or none for a `SourceModel`."""

    def generate(
        self,
        model: Any,
        tokenizer: Tokenizer,
        prompts: Sequence[str],
        *,
        max_new: int | None = None,
        seed: int = 0,
    ) -> Iterator[Piece]:
        """Continue every prompt by at most `max_new` tokens; row r draws with seed + r, whatever its neighbours are.

        A `SourceModel` reads the prompt as its source, and what it writes is a text of its own. Raises `PromptError`,
        before anything is computed, with every prompt that does not fit into the model's context and every source
        without a token.
        """


@runtime_checkable
class Session(Protocol):
    """A model that writes whatever is submitted, many texts at once; they come and go as they like."""

    memory: StateMemory
    """What the room that it writes in takes beside the weights, and what was free before that was made.

    Room that was there already may be larger than what was asked for, and others may write in it too: it is told as it
    is, of all its texts. `str` makes a line of it.
    """

    def submit(self, prompt: str, *, max_new: int | None = None, seed: int = 0) -> Iterator[Piece]:
        """The text that continues `prompt`, as it comes; its tokens do not depend on its neighbours.

        Whoever takes a piece moves all other texts on: streams may be taken in any order, and by several threads, which
        wait for each other. One that is closed or dropped before its end gives its room back. `row` of a piece is the
        number of the request. Raises `GenerationError` with the figures for one that is larger than the session, and
        where the model changed since that was opened.
        """


@runtime_checkable
class ServingGenerator(Generator, Protocol):
    """A generator that takes requests as they come."""

    def open(
        self, model: Any, tokenizer: Tokenizer, *, rows: int | None = None, capacity: int | None = None
    ) -> Session:
        """Make room for `rows` texts at a time, each of at most `capacity` tokens with its prompt.

        None: as many as its config says, or fewer where the device has not that much memory, and the model's context.
        What was opened or written last may be used again, so that opening another session of the same model costs
        nothing. Raises `GenerationError`, before anything is allocated, with what it takes and what is free where that
        is too little.
        """

    def close(self) -> None:
        """Let go of the room that is kept for the next call."""


def serves(generator: Any) -> TypeGuard[ServingGenerator]:
    """Whether a generator takes requests as they come."""
    return callable(getattr(generator, "open", None))


PROTOCOLS: Mapping[str, type] = {
    "norm": Norm,
    "activation": Activation,
    "ffn": FFN,
    "router": Router,
    "position": Position,
    "scaling": Scaling,
    "mask": Mask,
    "attention": Attention,
    "placement": Placement,
    "block": Block,
    "stack": Stack,
    "embedding": Embedding,
    "head": Head,
    "initialiser": Initialiser,
    "model": Model,
    "data": Data,
    "tokenizer": Tokenizer,
    "objective": Objective,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "trainer": Trainer,
    "logger": Logger,
    "sampler": Sampler,
    "cache": Cache,
    "codec": Codec,
    "quantizer": Quantizer,
    "generator": Generator,
}
