import pytest

from serving import HTML, PATIENCE, served


@pytest.fixture(scope="session")
def address():
    with served(HTML) as url:
        yield url


@pytest.fixture(scope="session")
def tab(browser):
    context = browser.new_context()
    context.add_init_script("localStorage.setItem('mode', 'auto')")  # as the system does
    context.set_default_timeout(PATIENCE)
    context.tracing.start()
    yield context.new_page()
    context.close()
