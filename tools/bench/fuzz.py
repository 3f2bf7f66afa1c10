"""Feed the language with 200,000 inputs that coverage guides, and see that nothing but diagnostics comes out.

Run `python tools/bench/fuzz.py [--inputs 200000] [--seed 1] [--workers 2]`; needs atheris, which is in the dev
extra where there are wheels. Inputs grow from the repository's specs, sound and faulty, by libFuzzer's mutations and
by ones that know the words of the language (tests/language/hostile.py). An input fails the run if it raises, opens a
file outside its project, imports what is no plugin, starts a process or a connection, takes more than 10 s, or brings
the process above 500 MiB; it is then written to a file named crash-… or timeout-… in the working folder.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
MEMORY_MIB = 500
SECONDS = 10
LENGTH = 512


def peak_mib() -> float:
    """What this process has held at most; ru_maxrss and libFuzzer's limit count what it was forked from, too."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=200_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--workers", type=int, default=1, help="processes that share the inputs, each with its own seed"
    )
    given = options.parse_args()
    if given.workers == 1:
        fuzz(given.inputs, given.seed)
        return 0
    share = [str(-(-given.inputs // given.workers))]
    command = [sys.executable, __file__, "--inputs", *share]
    workers = [subprocess.Popen([*command, "--seed", str(given.seed + each)]) for each in range(given.workers)]
    failed = sum(worker.wait() != 0 for worker in workers)
    print(f"{given.workers} processes of {share[0]} inputs each, of which {failed} failed")
    return int(failed > 0)


def fuzz(inputs: int, seed: int) -> None:
    """Ends the process: with 0 where nothing but diagnostics came out."""
    with atheris.instrument_imports(include=["llm_build"]):
        from tests.language import hostile
    folder = Path(tempfile.mkdtemp())
    project, seeds = hostile.prepare(folder), folder / "seeds"
    seeds.mkdir()
    texts = hostile.corpus()
    for index, text in enumerate(texts):
        (seeds / f"{index}.llm").write_text(text, encoding="utf-8")
        hostile.check(text, project)
    watch = hostile.Watch()
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        text = data.decode("utf-8", errors="replace")
        hostile.lay(text, project)
        for target in hostile.targets(text):
            with watch(project):
                target(text, project)
        count += 1
        peak = peak_mib()
        assert peak < MEMORY_MIB, f"{peak:.0f} MiB"
        if count == inputs:
            print(f"{count:_} inputs, nothing but diagnostics; peak of the process {peak:.0f} MiB", flush=True)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.3:
            return atheris.Mutate(data, size)
        text = hostile.mutate(data.decode("utf-8", errors="replace"), draw.choice(texts), draw)
        return text.encode("utf-8", errors="replace")[:size]

    limits = [f"-timeout={SECONDS}", "-rss_limit_mb=0", f"-max_len={LENGTH}", "-print_final_stats=1"]
    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", f"-seed={seed}", *limits, str(seeds)],
        one,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
