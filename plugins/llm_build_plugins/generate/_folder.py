"""Where compiled code is kept between processes."""

from __future__ import annotations

import os

from llm_build import cache_folder

PLACE = "TORCHINDUCTOR_CACHE_DIR"


def keep_compiled() -> None:
    """Let torch keep compiled code, Triton's with it, in the cache folder, which lasts longer than its own choice.

    That is one under the folder for temporary files. What the user said stands, and so does torch's choice where
    something was compiled already or the cache folder cannot be written.
    """
    folder = cache_folder() / "inductor"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ.setdefault(PLACE, str(folder))
