from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect_server import PrefectServer, serving_prefect


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with serving_prefect(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(server.url) as client:
        yield client
