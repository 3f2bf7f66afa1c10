"""What is written against what the model says: each layout, each batching, eager, captured and compiled.

The reference is the model in float64 on the CPU that reads the whole text again for every token. On the CPU all is in
float64 and every greedy text must equal its own. On a GPU all is in float32 with TF32 off: at each place of what was
written, the token must be the reference's likeliest given the text so far, or within 1e-4 of it; such places are
counted, and may be one in a thousand. A text that is drawn must be drawn again with its seed: on the CPU whatever is
written beside it, on a GPU in the same company; where it differs in another, it is counted.
Run `python tools/bench/generation.py [--device cuda] [--spec mla] [--mode capture]`; it exits with 1 for a wrong text.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import torch

from _measure import finish, machine
from _varied import CONTEXT, SPECS, Reference, Text, made
from llm_build import Context
from llm_build.components import field_specs
from llm_build_plugins import generate

LENGTHS = (1, 2, 7, 16, 31, 48, 65, 100, 128, 190, 231, 250)
"""Tokens of the prompts: within a window and beyond, within a page and beyond, and some that the context ends soon."""
NEW = 48
CHUNK = 40
CACHES = {"dense": generate.dense(), "paged": generate.paged(page=16)}
ROWS = (1, 3, len(LENGTHS))
CLOSE = 1e-4
PARTED = 1e-3
SHOWN = 20
"""Faults that are printed; all are counted."""
SEED = 5
TOKENIZER = Text()
TOP_K = generate.top_k(k=20, temperature=1.3)

Texts = list[list[int]]


@attrs.frozen(kw_only=True)
class Way:
    """One way to write: how what is kept lies in memory, how many texts at a time, and how a step is launched."""

    cache: str
    rows: int
    mode: str

    def __str__(self) -> str:
        return f"{self.mode}, {self.cache}, {self.rows} at a time"

    def writer(self, sampler: Any) -> Any:
        options = {"capture": self.mode != "eager"}
        if "compile" in field_specs(generate.decode):
            options["compile"] = self.mode == "compile"
        config = generate.decode(
            sampler=sampler, cache=CACHES[self.cache], rows=self.rows, chunk=CHUNK, max_new=NEW, **options
        )
        return config.build(Context())

    def write(self, model: Any, prompts: Sequence[str], sampler: Any, seed: int = SEED) -> Texts:
        """What is written behind each prompt, [eos] included."""
        texts: Texts = [[] for _ in prompts]
        for piece in self.writer(sampler).generate(model, TOKENIZER, prompts, seed=seed):
            if piece.token is not None:
                texts[piece.row].append(piece.token)
        return texts


@attrs.define
class Tally:
    """Tokens that were compared, those of them not the likeliest, texts that differ in other company, what is wrong."""

    tokens: int = 0
    parted: int = 0
    apart: int = 0
    faults: list[str] = attrs.field(factory=list)

    def fault(self, said: str) -> None:
        self.faults.append(said)
        if len(self.faults) <= SHOWN:
            print(f"  WRONG: {said}")


def modes(device: str) -> list[str]:
    """How a step may be launched: eager, as a graph where there is a GPU, and compiled where `decode` can."""
    return ["eager", *["capture"] * (device == "cuda"), *["compile"] * ("compile" in field_specs(generate.decode))]


def ways(wanted: Sequence[str]) -> Iterator[Way]:
    """Every layout with every batching in each mode."""
    for mode, cache, rows in itertools.product(wanted, CACHES, ROWS):
        yield Way(cache=cache, rows=rows, mode=mode)


def judge(way: Way, reference: Reference, prompts: Sequence[str], texts: Texts, tally: Tally) -> None:
    """Every token of every text against the reference's logits, given the text so far."""
    for prompt, text in zip(map(TOKENIZER.encode, prompts), texts, strict=True):
        logits = reference.logits(prompt, text[:-1])
        best, likeliest = logits.max(-1)
        written = torch.tensor(text)
        behind = best - logits.gather(-1, written[:, None])[:, 0]
        tally.tokens += len(text)
        tally.parted += int((written != likeliest).sum())
        for place in (behind > CLOSE).nonzero().flatten().tolist():
            tally.fault(f"{way}: token {place} behind {len(prompt)}: its logit is {float(behind[place]):.2g} too low")


def greedy(name: str, model: Any, reference: Reference, device: str, wanted: Sequence[str], tally: Tally) -> None:
    """Each way's texts: likely at every place, as long as they have to be, and on the CPU the reference's own."""
    prompts = TOKENIZER.prompts(LENGTHS, seed=0)
    right = [reference.write(TOKENIZER.encode(each), NEW) for each in prompts] if device == "cpu" else None
    most = [min(NEW, CONTEXT - len(reference.begin(TOKENIZER.encode(each)))) for each in prompts]
    for way in ways(wanted):
        before = tally.tokens, tally.parted, time.perf_counter()
        texts = way.write(model, prompts, generate.greedy())
        judge(way, reference, prompts, texts, tally)
        for length, text, longest in zip(LENGTHS, texts, most, strict=True):
            if len(text) != longest and text[-1:] != [TOKENIZER.eos]:
                tally.fault(f"{way}: {len(text)} tokens behind {length}; {longest} or [eos] must come")
        if right is not None and texts != right:
            tally.fault(f"{way}: not what is written from a full pass for each token")
        tokens, parted, seconds = tally.tokens - before[0], tally.parted - before[1], time.perf_counter() - before[2]
        print(f"{name:<18} {way!s:<28} {tokens:>6} tokens, {parted} not the likeliest, {seconds:5.1f} s")


def drawn(name: str, model: Any, device: str, wanted: Sequence[str], tally: Tally) -> None:
    """A text depends on its prompt and its seed."""
    prompts = TOKENIZER.prompts(LENGTHS, seed=0)
    every = list(ways(wanted))
    together = {way: way.write(model, prompts, TOP_K) for way in every}
    for way, texts in together.items():
        if way.write(model, prompts, TOP_K) != texts:
            tally.fault(f"{way}: another text from the same seeds")
    first, *others = together.values()
    alone = [every[0].write(model, [each], TOP_K, SEED + place)[0] for place, each in enumerate(prompts)]
    apart = sum(one != other for texts in (*others, alone) for one, other in zip(first, texts, strict=True))
    tally.apart += apart
    if device == "cpu" and apart:
        tally.fault(f"{name}: {apart} texts differ from those of the same seeds in other company")
    if first == every[0].write(model, prompts, TOP_K, SEED + 100):
        tally.fault(f"{name}: other seeds draw the same texts")
    print(f"{name:<18} drawn again with their seeds: {len(prompts) * (len(others) + 1)} texts, {apart} differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--spec", action="append", choices=list(SPECS), help="this one alone; may be given again")
    parser.add_argument("--mode", action="append", help="eager, capture or compile alone; may be given again")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    wanted, tally, begun = args.mode or modes(args.device), Tally(), time.perf_counter()
    machine("torch")
    print(torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {torch.get_num_threads()} threads")
    for name in args.spec or SPECS:
        narrow = made(name)
        reference = Reference(copy.deepcopy(narrow).double(), TOKENIZER)
        model = reference.model if args.device == "cpu" else narrow.to(args.device)
        greedy(name, model, reference, args.device, wanted, tally)
        drawn(name, model, args.device, wanted, tally)
    share = tally.parted / tally.tokens
    print(
        f"{tally.tokens:_} tokens in {time.perf_counter() - begun:.0f} s; {tally.parted} of them not the likeliest "
        f"({share:.2g}, at most {PARTED:g}); {tally.apart} drawn texts differ in other company; "
        f"{len(tally.faults)} faults"
    )
    finish(not tally.faults, share <= PARTED)


if __name__ == "__main__":
    main()
