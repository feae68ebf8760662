"""Arrays on S3, Google Cloud Storage, Azure and plain HTTP are what they are on disk, through every call."""

from __future__ import annotations

import asyncio
import pickle

import numpy as np
import pytest
from helpers import remote as helpers
from helpers.running import python, run
from servers import azurite as azure
from servers import seaweedfs as s3

import zarrs_c
from zarrs_c import sync

NAMES = ["plain", "sharded", "v2"]


@pytest.mark.parametrize("name", NAMES)
def test_an_array_is_opened_and_read_from_every_store(name, uploaded, samples):
    stored = samples[name]

    async def main():
        array = await zarrs_c.open_array(uploaded.url(f"samples/{name}"), storage_options=uploaded.options)
        assert (array.shape, array.dtype, array.chunks) == (
            stored.data.shape,
            stored.data.dtype,
            stored.chunks,
        )
        np.testing.assert_array_equal(await zarrs_c.read(array), stored.data)
        selection = np.s_[-3:2:-2, 5:30:3]
        buf = np.full(stored.data[selection].shape, 99, array.dtype, order="F")
        assert await zarrs_c.read_into(buf, array, selection) is buf
        np.testing.assert_array_equal(buf, stored.data[selection])

    run(main())


@pytest.mark.parametrize("name", NAMES)
def test_zarr_python_sees_the_same(name, uploaded, samples):
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    from zarr.storage import ObjectStore

    theirs = zarr.open_array(ObjectStore(uploaded.store(), read_only=True), path=f"samples/{name}", mode="r")
    ours = sync.open_array(uploaded.url(f"samples/{name}"), storage_options=uploaded.options)
    np.testing.assert_array_equal(sync.read(ours), theirs[...])
    assert (ours.dtype, ours.shape, ours.zarr_format) == (
        theirs.dtype,
        theirs.shape,
        theirs.metadata.zarr_format,
    )


def test_boxes_of_chunks_are_read_from_every_store(uploaded, samples):
    stored = samples["sharded"]
    array = sync.open_array(uploaded.url("samples"), "sharded", storage_options=uploaded.options)
    np.testing.assert_array_equal(sync.read(array, chunks=np.s_[1:3, 1]), stored.data[16:48, 20:40])
    np.testing.assert_array_equal(sync.read(array, chunks=np.s_[2, :]), stored.data[32:48])


def test_many_regions_of_several_arrays_are_read_at_once_from_every_store(uploaded, samples):
    async def main():
        store = zarrs_c.open_store(uploaded.url("samples"), uploaded.options)
        arrays = await asyncio.gather(*(zarrs_c.open_array(store, name) for name in NAMES))
        selections = [np.s_[3:20, ::2], np.s_[::-1, 7], np.s_[0:30:4, 5:6]]
        regions, expected = [], []
        for array, name in zip(arrays, NAMES, strict=True):
            for selection in selections:
                expected.append(samples[name].data[selection])
                regions.append((np.empty(expected[-1].shape, array.dtype), array, selection))
        for got, right in zip(await zarrs_c.read_many(regions), expected, strict=True):
            np.testing.assert_array_equal(got, right)

    run(main())


def test_regions_on_disk_and_on_a_server_are_read_at_once(uploaded, samples):
    stored = samples["plain"]
    near = sync.open_array(stored.path)
    far = sync.open_array(uploaded.url("samples/plain"), storage_options=uploaded.options)
    bufs = [np.empty_like(stored.data), np.empty_like(stored.data)]
    sync.read_many([(bufs[0], near), (bufs[1], far)])
    np.testing.assert_array_equal(bufs[0], stored.data)
    np.testing.assert_array_equal(bufs[1], stored.data)


def test_encoded_chunks_are_the_bytes_as_stored(uploaded, samples):
    async def main():
        stored = samples["plain"]
        array = await zarrs_c.open_array(uploaded.url("samples/plain"), storage_options=uploaded.options)
        for index in np.ndindex(stored.grid_shape):
            path = stored.chunk_path(*index)
            chunk = await zarrs_c.read_encoded_chunk(array, index)
            assert (None if chunk is None else bytes(chunk)) == (path.read_bytes() if path.exists() else None)
        assert not stored.chunk_path(0, 1).exists()  # so that both kinds were there

    run(main())


def test_encoded_inner_chunks_are_parts_of_the_shard_as_stored(uploaded, samples):
    stored = samples["sharded"]
    array = sync.open_array(uploaded.url("samples/sharded"), storage_options=uploaded.options)
    shard = stored.chunk_path(0, 1).read_bytes()
    places = [
        shard.find(bytes(sync.read_encoded_chunk(array, (i, 4 + j), inner=True))) for i, j in np.ndindex(4, 4)
    ]
    assert min(places) >= 0
    assert len(set(places)) == 16
    assert sync.read_encoded_chunk(array, (1, 1), inner=True) is None
    assert sync.read_encoded_chunk(array, (9, 7), inner=True) is None  # its shard is missing


def test_a_url_can_be_read_without_opening_it_first(caddy, samples):
    caddy.upload(samples["plain"].path, "direct")

    async def main():
        np.testing.assert_array_equal(
            await zarrs_c.read(caddy.url("direct"), np.s_[3:9]), samples["plain"].data[3:9]
        )

    run(main())
    np.testing.assert_array_equal(sync.open_array(caddy.url("direct/"))[3:9], samples["plain"].data[3:9])


@pytest.mark.parametrize("path", ["a b", "ä/ø", "x+y=z", "100%", "a%20b", "q#r"])
def test_paths_with_awkward_characters_are_found(path, uploaded, samples):
    uploaded.upload(samples["v2"].path, f"awkward/{path}")
    array = sync.open_array(uploaded.url("awkward"), path, storage_options=uploaded.options)
    np.testing.assert_array_equal(sync.read(array), samples["v2"].data)


def test_an_empty_memory_store_has_no_array():
    with pytest.raises(zarrs_c.NotFoundError, match="memory://"):
        sync.open_array("memory://nothing", "a")


# ---- Credentials ----

SIGNED = ["seaweedfs", "azurite"]


@pytest.fixture(params=SIGNED)
def signed(request, samples):
    """A server that checks credentials, with a sample in both of its buckets."""
    server = request.getfixturevalue(request.param)
    if not hasattr(server, "has_both"):
        server.upload(samples["plain"].path, "both", "public")
        server.upload(samples["plain"].path, "both", "private")
        server.has_both = True
    return server


def test_credentials_come_from_the_environment(signed, samples, monkeypatch):
    for name, value in signed.environment.items():
        monkeypatch.setenv(name, value)
    np.testing.assert_array_equal(sync.read(sync.open_array(signed.url("both"))), samples["plain"].data)


def test_options_come_before_the_environment(signed, samples, monkeypatch):
    for name, value in signed.wrong_options.items():
        monkeypatch.setenv(name.upper(), value)
    array = sync.open_array(signed.url("both"), storage_options=signed.options)
    np.testing.assert_array_equal(sync.read(array), samples["plain"].data)
    with pytest.raises(zarrs_c.StorageError):
        sync.open_array(signed.url("both"))


def test_google_credentials_come_from_the_environment(fake_gcs, samples, monkeypatch):
    fake_gcs.upload(samples["plain"].path, "environment")
    for name, value in fake_gcs.environment.items():
        monkeypatch.setenv(name, value)
    array = sync.open_array(fake_gcs.url("environment"), storage_options={"allow_http": "true"})
    np.testing.assert_array_equal(sync.read(array), samples["plain"].data)


def test_what_is_public_is_read_without_credentials(signed, samples):
    array = sync.open_array(signed.url("both", "public"), storage_options=signed.anonymous)
    np.testing.assert_array_equal(sync.read(array), samples["plain"].data)
    with pytest.raises(zarrs_c.StorageError, match="403"):
        sync.open_array(signed.url("both", "private"), storage_options=signed.anonymous)


def test_other_spellings_of_a_scheme_are_understood(seaweedfs, azurite, samples):
    seaweedfs.upload(samples["plain"].path, "spelled")
    azurite.upload(samples["plain"].path, "spelled")
    urls = {
        f"s3a://{s3.PRIVATE}/spelled": seaweedfs,
        f"abfs://{azure.PRIVATE}/spelled": azurite,
        f"abfss://{azure.PRIVATE}@{azure.ACCOUNT}.dfs.core.windows.net/spelled": azurite,
    }
    for url, server in urls.items():
        array = sync.open_array(url, storage_options=server.options)
        np.testing.assert_array_equal(sync.read(array), samples["plain"].data)


# ---- What may be told, and what is kept ----


def test_no_text_shows_a_secret(signed):
    store = zarrs_c.open_store(signed.url(""), signed.options)
    array = sync.open_array(store, "both")
    for text in (repr(store), str(store), store.url, repr(array), str(array), repr(array.store)):
        assert signed.secret not in text


def test_stores_and_arrays_are_pickled_with_their_options(uploaded, samples):
    array = sync.open_array(uploaded.url("samples/sharded"), storage_options=uploaded.options)
    again = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(sync.read(again), samples["sharded"].data)
    store = pickle.loads(pickle.dumps(zarrs_c.open_store(uploaded.url("samples"), uploaded.options)))
    np.testing.assert_array_equal(sync.read(sync.open_array(store, "v2")), samples["v2"].data)


def test_a_password_in_a_url_is_not_shown(faults):
    url = f"http://me:hush-hush@127.0.0.1:{faults.port}/a"
    store = zarrs_c.open_store(url, helpers.NO_RETRIES)
    assert "hush-hush" not in store.url + repr(store)
    with pytest.raises(zarrs_c.Error) as caught:
        sync.open_array(store, "b")
    assert "hush-hush" not in str(caught.value)


SECRETS = {
    "s3://bucket/a": {"aws_secret_access_key": "hush-hush", "aws_nonsense": "1"},
    "gs://bucket/a": {"google_service_account_key": '{"private_key": "hush-hush"}'},
    "az://bucket/a": {"azure_storage_account_name": "me", "azure_storage_account_key": "hush-hush"},
    "http://localhost/a": {"header.authorization": "hush-hush\n"},
    "https://localhost/a": {"max_retries": "many", "header.authorization": "hush-hush"},
}


@pytest.mark.parametrize("url", SECRETS)
def test_options_that_are_wrong_are_refused_without_showing_secrets(url):
    with pytest.raises(zarrs_c.InvalidError) as caught:
        zarrs_c.open_store(url, SECRETS[url])
    assert "hush-hush" not in str(caught.value)
    assert url in str(caught.value)


def test_a_shared_access_signature_is_not_shown(azurite):
    """It travels in the request's URL, which errors tend to quote."""
    options = {**azurite.anonymous, **helpers.NO_RETRIES}
    del options["azure_skip_signature"]
    options["azure_storage_sas_token"] = (
        "?sv=2021-12-02&sr=c&sp=r&se=2030-01-01T00%3A00%3A00Z&sig=hush%2Bhush%3D"
    )
    with pytest.raises(zarrs_c.Error) as caught:
        sync.open_array(azurite.url("both", "private"), storage_options=options)
    assert "hush" not in str(caught.value)


def test_unknown_options_are_refused_by_name():
    for url in ("s3://bucket/a", "gs://bucket/a", "az://bucket/a", "http://localhost/a", "memory://a"):
        with pytest.raises(zarrs_c.InvalidError, match="no_such_option"):
            zarrs_c.open_store(url, {"no_such_option": "1"})


def test_unknown_schemes_are_refused_with_those_that_are_known():
    with pytest.raises(zarrs_c.UnsupportedError, match=r"ftp.*s3"):
        zarrs_c.open_store("ftp://host/a")


# ---- Connections ----


def test_headers_of_the_user_are_sent(faults):
    data = helpers.one_row_chunks(faults, "a", 3)
    array = sync.open_array(
        faults.url("a"), storage_options={"header.x-who": "me", "user_agent": "zarrs-tests"}
    )
    np.testing.assert_array_equal(sync.read(array), data)
    assert {seen.headers.get("x-who") for seen in faults.counters.log} == {"me"}
    assert {seen.headers.get("user-agent") for seen in faults.counters.log} == {"zarrs-tests"}


@pytest.mark.parametrize("by", ["store", "url"])
def test_connections_are_used_again(by, faults):
    """By all arrays of a store, by stores with the same options on one host, and from one loop to the next."""
    store = zarrs_c.open_store(faults.url())
    for name in "abc":
        helpers.one_row_chunks(faults, name, 4)
    for name in "abc" * 5:
        array = sync.open_array(store, name) if by == "store" else sync.open_array(faults.url(name))
        for row in range(4):
            array[row]
    assert faults.counters.requests >= 75
    assert faults.counters.connections <= 2  # the two of an open, which asks for both formats at once


def test_stores_with_other_options_share_no_connections(faults):
    """Whoever has other headers or credentials is somebody else."""
    data = helpers.one_row_chunks(faults, "a", 4)
    for who in ("me", "you", "me"):
        faults.reset()
        array = sync.open_array(faults.url("a"), storage_options={"header.x-who": who})
        np.testing.assert_array_equal(sync.read(array), data)
        assert {seen.headers.get("x-who") for seen in faults.counters.log} == {who}


# ---- Life ----


def test_hundreds_of_windows_at_once_from_every_store(uploaded, samples):
    async def main():
        store = zarrs_c.open_store(uploaded.url("samples"), uploaded.options)
        arrays = {name: await zarrs_c.open_array(store, name) for name in NAMES}
        rng = np.random.default_rng(0)
        reading = []
        for _ in range(300):
            name = NAMES[rng.integers(len(NAMES))]
            corners = [sorted(rng.integers(0, n + 1, 2)) for n in samples[name].data.shape]
            selection = tuple(slice(start, stop) for start, stop in corners)
            reading.append((samples[name].data[selection], zarrs_c.read(arrays[name], selection)))
        for expected, future in reading:
            np.testing.assert_array_equal(await future, expected)

    run(main())


def test_a_forked_child_reads_by_connections_of_its_own(faults):
    data = helpers.one_row_chunks(faults, "a", 40)
    program = """
        import os, sys
        import zarrs_c

        array = zarrs_c.sync.open_array(sys.argv[1])
        before = array[:].sum()
        child = os.fork()
        if not child:
            os._exit(0 if array[:].sum() == before else 1)
        during = array[:].sum()
        _, status = os.waitpid(child, 0)
        print(before, during, array[:].sum(), os.waitstatus_to_exitcode(status))
    """
    done = python(program, faults.url("a"))
    total = int(data.sum())
    assert [int(word) for word in done.stdout.split()] == [total, total, total, 0]
    paths_by_connection = {}
    for seen in faults.counters.log:
        assert (seen.status, seen.aborted) in ((200, False), (404, False))
        paths_by_connection.setdefault(seen.connection, []).append(seen.path)
    assert sum(map(len, paths_by_connection.values())) == 4 * 40 + 2


def test_a_program_may_end_with_requests_in_flight(faults):
    helpers.one_row_chunks(faults, "a", 100)
    faults.rule("a/c/*", silent=True)
    program = """
        import asyncio, sys
        import zarrs_c

        async def main():
            array = await zarrs_c.open_array(sys.argv[1])
            reading = zarrs_c.read(array)
            while zarrs_c.stats().requests_in_flight < 64:
                await asyncio.sleep(0.01)
            sys.exit(7)

        asyncio.run(main())
    """
    done = python(program, faults.url("a"), check=False, timeout=20)
    assert (done.returncode, done.stderr) == (7, "")
    faults.wait(lambda seen: seen.open_connections == 0)
    assert faults.counters.in_flight == 0
    assert all(seen.aborted for seen in faults.counters.of("a/c/*"))
