"""The stand that tests of the backends run on."""

from collections.abc import Mapping

import pytest
from tests.support import stand_variables


@pytest.fixture(scope="session")
def stand() -> Mapping[str, str]:
    """Its endpoints and admin credentials; without a stand the tests fail, loudly."""
    return stand_variables()
