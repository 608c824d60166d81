"""What may run beside what, when pytest-xdist spreads the tests over two processes."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one server run one after the other; those of another server, beside them."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        server = item.path.stem.split("_")[1] if folder == "backends" else folder
        item.add_marker(pytest.mark.xdist_group(server))
