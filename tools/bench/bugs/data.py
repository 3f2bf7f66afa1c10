"""Bugs of data."""

from __future__ import annotations

from bugs.bug import Bug

SHARED = "plugins/llm_build_plugins/data/_shared.py"
FILES = "plugins/llm_build_plugins/data/files_module.py"
PAIRED = "plugins/llm_build_plugins/data/pairs_config.py"
MIXTURE = "plugins/llm_build_plugins/data/mixture_module.py"
BUGS = [
    Bug(
        name="all of it is trained on",
        component="data:files",
        file=SHARED,
        old="[each for each in documents if each.key not in held]",
        new="list(documents)",
    ),
    Bug(
        name="what is the same stands on both sides",
        component="data:files",
        file=SHARED,
        old="[each for each in documents if each.key not in held], [each for each in documents if each.key in held]",
        new="list(documents[: -len(held)]), list(documents[-len(held) :])",
    ),
    Bug(
        name="what is the same stands on both sides",
        component="data:pairs",
        file=SHARED,
        old="[each for each in documents if each.key not in held], [each for each in documents if each.key in held]",
        new="list(documents[: -len(held)]), list(documents[-len(held) :])",
    ),
    Bug(
        name="what stands twice is taken once",
        component="data:files",
        file=SHARED,
        old="[each for each in documents if each.key not in held]",
        new="list({each.key: each for each in documents if each.key not in held}.values())",
    ),
    Bug(
        name="the pieces of a text overlap",
        component="data:files",
        file=SHARED,
        old="text[:at], whole=text)",
        new="text[: at + 1], whole=text)",
    ),
    Bug(
        name="Python's hash decides",
        component="data:python_stdlib",
        file=SHARED,
        old='sha256(f"{seed}\\n{key}".encode()).digest()',
        new="hash((seed, key))",
    ),
    Bug(
        name="Python's hash decides",
        component="data:files",
        file=SHARED,
        old='sha256(f"{seed}\\n{key}".encode()).digest()',
        new="hash((seed, key))",
    ),
    Bug(
        name="nothing is held out",
        component="data:files",
        file=SHARED,
        old="left = held_out.fraction * sum(sizes.values())",
        new="left = 0",
    ),
    Bug(
        name="without text there is no error",
        component="data:files",
        file=FILES,
        old='raise empty(found, "text")',
        new="return []",
    ),
    Bug(
        name="empty files are documents",
        component="data:files",
        file=FILES,
        old="for file in found if (text := read_text(file))]",
        new="for file in found for text in [read_text(file)]]",
    ),
    Bug(
        name="its documents have sources and it says they have none",
        component="data:pairs",
        file=PAIRED,
        old="return True",
        new="return False",
    ),
    Bug(
        name="weights are floats",
        component="data:mixture",
        file=MIXTURE,
        old="[Fraction(repr(each)) for each in weights]",
        new="list(weights)",
    ),
    Bug(
        name="the last part is not split",
        component="data:mixture",
        file=MIXTURE,
        old="for each in self.parts]\n        training",
        new="for each in self.parts[:1]]\n        training",
    ),
]
