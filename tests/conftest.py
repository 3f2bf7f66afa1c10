"""Options of the test run, and a cache folder that belongs to it alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: give --slow to run it"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test run caches lies in a folder of its own; training takes one thread; wandb is silent, and ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_BUILD_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp("wandb")))
        patch.setenv("WANDB_SILENT", "true")
        patch.delenv("WANDB_API_KEY", raising=False)
        # the models are tiny: handing them to other threads takes longer than the work
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
        if "wandb" in sys.modules:
            sys.modules["wandb"].teardown()


@pytest.fixture(scope="module")
def no_curve() -> Iterator[None]:
    """Drawing the loss curve takes longer than a small training run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llm_build.run.training.draw_curve", lambda directory: "")
        yield
