"""The servers as fixtures: one of each a test run, except the fault server, of which each test has its own."""

from __future__ import annotations

import ssl

import pytest
from helpers import remote as helpers

from .azurite import Azurite
from .caddy import Caddy
from .fake_gcs import FakeGCS
from .faults import FaultServer
from .process import ServerMissing
from .seaweedfs import SeaweedFS


def _serve(kind, folder):
    """Start a server; fail, never skip, where it is not installed."""
    try:
        server = kind(folder)
    except ServerMissing as missing:
        pytest.fail(
            f"{missing}. The tests of remote reads need it; `make test` installs what pip can.", pytrace=False
        )
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory):
    yield from _serve(SeaweedFS, tmp_path_factory.mktemp("seaweedfs"))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    yield from _serve(Azurite, tmp_path_factory.mktemp("azurite"))


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory):
    yield from _serve(FakeGCS, tmp_path_factory.mktemp("fake-gcs"))


@pytest.fixture(scope="session")
def caddy(tmp_path_factory):
    yield from _serve(Caddy, tmp_path_factory.mktemp("caddy"))


SERVERS = {"s3": "seaweedfs", "gs": "fake_gcs", "az": "azurite", "http": "caddy"}


@pytest.fixture(params=SERVERS)
def remote(request):
    """Each of the real servers in turn."""
    return request.getfixturevalue(SERVERS[request.param])


@pytest.fixture
def faults():
    """A fault server of the test's own, without objects and rules."""
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """The arrays that every server is given: see `helpers.remote.samples`."""
    return helpers.samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def uploaded(remote, samples):
    """A real server that has the samples below `samples/`."""
    if not hasattr(remote, "has_samples"):
        for name, stored in samples.items():
            remote.upload(stored.path, f"samples/{name}")
        remote.has_samples = True
    return remote


@pytest.fixture
def faults_tls():
    """A fault server that speaks HTTPS with a certificate of an authority that nobody knows."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    with FaultServer(tls=context) as server:
        yield server


__all__ = [
    "azurite",
    "caddy",
    "fake_gcs",
    "faults",
    "faults_tls",
    "remote",
    "samples",
    "seaweedfs",
    "uploaded",
]
