"""A checkpoint that is not as it was written is refused before anything of it is read, with the file and the fault."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llm_build import RunError, open_run, train
from llm_build.run import Checkpoint
from llm_build.run.manifest import Digest, Manifest
from tests.small import small_spec, write_texts

FILES = ["manifest.json", "model.safetensors", "spec.llm", "tokenizer.json"]
FILES += ["training.json", "training.safetensors", "versions.json"]
DRAWS = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as training leaves it."""
    folder = tmp_path_factory.mktemp("whole")
    train(small_spec(write_texts(folder / "texts"), length="steps = 1, batch = 2"), out=folder / "run", device="cpu")
    return folder / "run" / "checkpoints" / "step-000001"


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return Path(shutil.copytree(whole, tmp_path / "step-000001"))


def refused(checkpoint: Path) -> str:
    with pytest.raises(RunError) as caught:
        Checkpoint.verified(checkpoint)
    said = str(caught.value)
    assert said.startswith(f"{checkpoint} is damaged: ")
    return said


def test_it_is_taken_as_it_was_written(checkpoint: Path) -> None:
    assert sorted(Checkpoint.verified(checkpoint).manifest.files) == FILES[1:]
    assert sorted(each.name for each in checkpoint.iterdir()) == FILES


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_seen(checkpoint: Path, name: str) -> None:
    file = checkpoint / name
    content = file.read_bytes()
    draw = random.Random(name)
    bits = range(len(content) * 8) if name == "manifest.json" else draw.sample(range(len(content) * 8), DRAWS)
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert name in refused(checkpoint), f"bit {bit}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_file_that_was_cut_short_is_seen(checkpoint: Path, name: str, share: float) -> None:
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[: min(int(share * len(content)), len(content) - 1)])
    assert name in refused(checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_grew_is_seen(checkpoint: Path, name: str) -> None:
    with (checkpoint / name).open("ab") as file:
        file.write(b"\n")
    assert name in refused(checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert f"{name} is missing" in refused(checkpoint) or "there is no such file" in refused(checkpoint)


def test_a_foreign_file_is_named(checkpoint: Path) -> None:
    (checkpoint / "extra.pkl").touch()
    assert "extra.pkl is not in its manifest" in refused(checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_or_a_link_in_place_of_a_file_is_refused(checkpoint: Path, name: str, tmp_path: Path) -> None:
    moved = (checkpoint / name).rename(tmp_path / "elsewhere")
    (checkpoint / name).mkdir()
    assert name in refused(checkpoint)
    (checkpoint / name).rmdir()
    (checkpoint / name).symlink_to(moved)
    assert name in refused(checkpoint)


def test_every_fault_is_named_at_once(checkpoint: Path) -> None:
    (checkpoint / "spec.llm").unlink()
    (checkpoint / "tokenizer.json").write_text("{}", encoding="utf-8")
    said = refused(checkpoint)
    assert "spec.llm is missing; tokenizer.json must have " in said
    assert "bytes; it has 2" in said


def sealed(**changes: Any) -> bytes:
    """The bytes of a manifest that says what it likes, with the right SHA-256 of itself."""
    body = {"format": 1, "step": 1, "held_out_nats": 2.5, "files": {}, **changes}
    text = json.dumps(body, indent=2) + "\n"
    return (json.dumps({**body, "sha256": sha256(text.encode()).hexdigest()}, indent=2) + "\n").encode()


def files(name: str = "spec.llm", size: object = 1, digest: object = "0" * 64) -> dict[str, Any]:
    return {"files": {name: {"size": size, "sha256": digest}}}


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is no JSON"),
    "no JSON": (b"weights", "it is no JSON"),
    "no UTF-8": (b'{"format": "\xff"}', "it is no JSON"),
    "deep": (b"[" * 100_000, "it is no manifest"),
    "huge": (b" " * (2**20 + 1), "it has more than 1_048_576 bytes"),
    "a long number": (b'{"format": ' + b"9" * 5_000 + b"}", "manifest.json must be as it was written"),
    "a list": (b"[]", "it is no manifest"),
    "an empty object": (b"{}", "it lacks 'format'"),
    "another format": (sealed(format=2), "format must be 1, is 2"),
    "a field too many": (sealed(more=1), "hold nothing else"),
    "no step": (sealed(step="1"), "must be whole numbers"),
    "a step below 0": (sealed(step=-1), "must be whole numbers"),
    "a true step": (sealed(step=True), "must be whole numbers"),
    "a loss that is no number": (sealed(held_out_nats="low"), "manifest.json must be as it was written"),
    "a loss that is not finite": (sealed(held_out_nats=float("nan")), "manifest.json must be as it was written"),
    "files in a list": (sealed(files=["spec.llm"]), "it is no manifest"),
    "a way up": (sealed(**files("../spec.llm")), "is no name of a file beside it"),
    "only a way up": (sealed(**files("..")), "is no name of a file beside it"),
    "an absolute path": (sealed(**files("/etc/passwd")), "is no name of a file beside it"),
    "a path of another system": (sealed(**files("C:\\x")), "is no name of a file beside it"),
    "a null byte": (sealed(**files("a\0b")), "is no name of a file beside it"),
    "itself": (sealed(**files("manifest.json")), "is no name of a file beside it"),
    "an absurd size": (sealed(**files(size=10**30)), "must be whole numbers"),
    "a large size": (sealed(**files(size=2**62)), "spec.llm must have 4_611_686_018_427_387_904 bytes"),
    "a size below 0": (sealed(**files(size=-1)), "must be whole numbers"),
    "a size that is a fraction": (sealed(**files(size=1.5)), "must be whole numbers"),
    "no size": (sealed(files={"spec.llm": {"sha256": ""}}), "it lacks 'size'"),
    "no digest": (sealed(**files(digest=None)), "manifest.json must be as it was written"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_refused(case: str, checkpoint: Path) -> None:
    content, message = HOSTILE[case]
    (checkpoint / "manifest.json").write_bytes(content)
    assert message in refused(checkpoint)


def test_another_spelling_of_the_same_manifest_is_refused(checkpoint: Path) -> None:
    file = checkpoint / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_bytes())), encoding="utf-8")
    assert "hold nothing else" in refused(checkpoint)


def test_nothing_is_read_before_the_manifest_agrees(whole: Path, tmp_path: Path) -> None:
    """A spec that would be refused by its own fault is refused as a file that was changed."""
    run = Path(shutil.copytree(whole.parents[1], tmp_path / "run"))
    for name in ("spec.llm", "versions.json", "tokenizer.json"):
        (run / "checkpoints" / "step-000001" / name).write_text("broken", encoding="utf-8")
    with pytest.raises(RunError, match=r"is damaged: spec\.llm must have .*; tokenizer\.json .*; versions\.json "):
        open_run(run, device="cpu")


def test_a_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    digests: Callable[[str], Digest] = lambda text: Digest(len(text), sha256(text.encode()).hexdigest())  # noqa: E731
    for loss in (None, 0.1 + 0.2, 1e-300, 3.0):
        manifest = Manifest(step=3, held_out_nats=loss, files={"b": digests("b"), "a": digests("a")})
        (tmp_path / "manifest.json").write_text(manifest.text, encoding="utf-8")
        assert Manifest.read(tmp_path) == manifest
