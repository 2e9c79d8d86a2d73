import pytest

from serving import HTML, served


@pytest.fixture(scope="session")
def address():
    with served(HTML) as url:
        yield url
