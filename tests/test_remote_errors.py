"""What a store refuses or does not have ends in one clear error, which names host and key and shows no secret."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import remote as helpers
from helpers.running import python
from servers.process import refused_port

import zarrs_c
from zarrs_c import sync

HASTE = pytest.mark.timeout(60)  # no error may take longer: see each test for what bounds it
pytestmark = HASTE


def error_of(call, *arguments, **options) -> zarrs_c.Error:
    with pytest.raises(zarrs_c.Error) as caught:
        call(*arguments, **options)
    return caught.value


# ---- Real servers ----


@pytest.fixture(params=["seaweedfs", "azurite"])
def signed(request):
    return request.getfixturevalue(request.param)


def test_wrong_credentials_are_a_storage_error(signed):
    options = {**signed.wrong_options, **helpers.NO_RETRIES}
    error = error_of(sync.open_array, signed.url("a"), "b", storage_options=options)
    assert type(error) is zarrs_c.StorageError
    assert f"127.0.0.1:{signed.port}" in str(error)
    assert "403" in str(error)
    assert error.key in ("b/zarr.json", "b/.zarray")
    for secret in (
        signed.secret,
        *(v for k, v in signed.wrong_options.items() if "secret" in k or k.endswith("_key")),
    ):
        assert secret not in str(error)


def test_a_bucket_that_does_not_exist_is_named(signed):
    error = error_of(sync.open_array, signed.url("a", "no-such-bucket"), storage_options=signed.options)
    assert type(error) is zarrs_c.NotFoundError
    assert "no-such-bucket/a" in str(error)


def test_an_array_that_does_not_exist_is_not_found(remote):
    error = error_of(sync.open_array, remote.url("nothing"), "here", storage_options=remote.options)
    assert type(error) is zarrs_c.NotFoundError
    assert remote.url("nothing/here") in str(error)


def test_a_group_is_not_an_array(remote, tmp_path):
    (tmp_path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    remote.upload(tmp_path, "group")
    error = error_of(sync.open_array, remote.url("group"), storage_options=remote.options)
    assert type(error) is zarrs_c.NotFoundError
    assert "group" in str(error)


# ---- Hosts ----


def test_a_host_that_does_not_exist_is_named():
    error = error_of(sync.open_array, "http://no-such-host.invalid/a", storage_options=helpers.QUICK_RETRIES)
    assert type(error) is zarrs_c.StorageError
    assert "no-such-host.invalid" in str(error)
    assert error.key in ("zarr.json", ".zarray")


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_refused_connection_names_the_host(scheme):
    port = refused_port()
    url, options = f"http://127.0.0.1:{port}/a", {}
    if scheme == "s3":
        url, options = "s3://bucket/a", {"aws_endpoint": f"http://127.0.0.1:{port}", "aws_allow_http": "true"}
        options |= {"aws_access_key_id": "me", "aws_secret_access_key": "hush-hush"}
    error = error_of(sync.open_array, url, storage_options={**options, **helpers.QUICK_RETRIES})
    assert type(error) is zarrs_c.StorageError
    assert f"127.0.0.1:{port}" in str(error)
    assert "refused" in str(error)
    assert "hush-hush" not in str(error)


def test_plain_http_to_a_cloud_needs_leave(faults):
    options = {**faults.s3_options, **helpers.NO_RETRIES}
    del options["aws_allow_http"]
    error = error_of(sync.open_array, "s3://bucket/a", storage_options=options)
    assert isinstance(error, zarrs_c.StorageError | zarrs_c.InvalidError)
    assert f"127.0.0.1:{faults.port}" in str(error)


def test_a_certificate_that_nobody_signed_is_an_error(faults_tls):
    error = error_of(sync.open_array, faults_tls.url("a"), storage_options=helpers.QUICK_RETRIES)
    assert type(error) is zarrs_c.StorageError
    assert "certificate" in str(error).lower()
    assert f"127.0.0.1:{faults_tls.port}" in str(error)
    assert faults_tls.counters.requests == 0


def test_a_certificate_may_be_waved_through(faults_tls):
    data = helpers.one_row_chunks(faults_tls, "a", 3)
    array = sync.open_array(faults_tls.url("a"), storage_options={"allow_invalid_certificates": "true"})
    np.testing.assert_array_equal(sync.read(array), data)


# ---- Time ----


def test_a_server_that_never_answers_times_out(faults):
    faults.rule(silent=True)
    options = {"timeout": "300ms", **helpers.QUICK_RETRIES}
    error = error_of(sync.open_array, faults.url("a"), zarr_format=3, storage_options=options)
    assert isinstance(error, zarrs_c.StorageError | zarrs_c.TimeoutError)
    assert "tim" in str(error)  # timed out, timeout
    assert f"127.0.0.1:{faults.port}" in str(error)
    assert 1 <= faults.counters.requests <= 4


def test_a_body_that_stalls_times_out(faults):
    helpers.one_row_chunks(faults, "a", 3)
    array = sync.open_array(faults.url("a"), storage_options={"timeout": "300ms", **helpers.QUICK_RETRIES})
    faults.rule("a/c/1/0", stall_after=20)
    error = error_of(sync.read, array)
    assert isinstance(error, zarrs_c.StorageError | zarrs_c.TimeoutError)
    assert error.key == "c/1/0"
    faults.wait(lambda seen: seen.in_flight == 0)


# ---- Statuses: on metadata, on a chunk, on a shard ----


@pytest.mark.parametrize("status", [401, 403, 405, 500, 503])
def test_a_refusal_of_metadata_is_not_taken_for_absence(status, faults):
    helpers.one_row_chunks(faults, "a", 3)
    faults.rule("a/zarr.json", status=status)
    error = error_of(sync.open_array, faults.url("a"), storage_options=helpers.NO_RETRIES)
    assert type(error) is zarrs_c.StorageError
    assert error.key == "zarr.json"
    assert str(status) in str(error)
    assert faults.url("a") in str(error)


def test_a_refusal_of_the_older_format_does_not_hide_the_newer(faults):
    """Some buckets answer 403 for keys that do not exist. zarr.json is there: that is enough."""
    data = helpers.one_row_chunks(faults, "a", 3)
    faults.rule("a/.zarray", status=403)
    np.testing.assert_array_equal(sync.read(sync.open_array(faults.url("a"))), data)


def test_a_missing_chunk_is_the_fill_value(faults):
    data = helpers.one_row_chunks(faults, "a", 5)
    array = sync.open_array(faults.url("a"))
    del faults.objects["a/c/3/0"]
    data[3] = 0
    np.testing.assert_array_equal(sync.read(array), data)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 429, 500, 503])
def test_a_refused_chunk_is_an_error_and_never_the_fill_value(status, faults):
    helpers.one_row_chunks(faults, "a", 5)
    array = sync.open_array(faults.url("a"), storage_options=helpers.NO_RETRIES)
    faults.rule("a/c/3/0", status=status)
    for call in (sync.read, lambda array: sync.read_encoded_chunk(array, (3, 0))):
        error = error_of(call, array)
        assert type(error) is zarrs_c.StorageError
        assert error.key == "c/3/0"
        assert str(status) in str(error)
        assert faults.url("a/c/3/0") in str(error)
    np.testing.assert_array_equal(array[:3], sync.read(array, np.s_[:3]))  # the others are still to be had


@pytest.mark.parametrize("skip", [0, 1], ids=["index", "inner chunk"])
@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_shard_is_an_error_and_never_the_fill_value(status, skip, faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16)
    array = sync.open_array(helpers.serve(faults, stored, "a"), storage_options=helpers.NO_RETRIES)
    faults.rule("a/c/*", status=status, skip=skip)
    error = error_of(sync.read, array, np.s_[3])
    assert type(error) is zarrs_c.StorageError
    assert error.key == "c/0/0"
    assert str(status) in str(error)


def test_a_missing_shard_is_the_fill_value(faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=3, inner=16)
    array = sync.open_array(helpers.serve(faults, stored, "a"))
    del faults.objects["a/c/1/0"]
    data = stored.data.copy()
    data[16:32] = 0
    np.testing.assert_array_equal(sync.read(array), data)
    np.testing.assert_array_equal(array[10:40:7], data[10:40:7])


# ---- Retries ----


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_throttling_that_ends_is_not_noticed(status, faults):
    data = helpers.one_row_chunks(faults, "a", 5)
    rule = faults.rule("a/c/2/0", status=status, times=2)
    array = sync.open_array(faults.url("a"), storage_options=helpers.QUICK_RETRIES)
    np.testing.assert_array_equal(sync.read(array), data)
    assert rule.hits == 3


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_that_does_not_end_is_an_error_once_the_retries_have(status, faults):
    helpers.one_row_chunks(faults, "a", 5)
    rule = faults.rule("a/c/2/0", status=status)
    array = sync.open_array(faults.url("a"), storage_options=helpers.QUICK_RETRIES)
    error = error_of(sync.read, array)
    assert type(error) is zarrs_c.StorageError
    assert error.key == "c/2/0"
    assert str(status) in str(error)
    assert "retries" in str(error)  # what was tried
    assert rule.hits == 4  # once, and three retries


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_cannot_get_better_is_not_tried_again(status, faults):
    helpers.one_row_chunks(faults, "a", 3)
    rule = faults.rule("a/zarr.json", status=status)
    array = error_of(sync.open_array, faults.url("a"), zarr_format=3, storage_options=helpers.QUICK_RETRIES)
    assert isinstance(array, zarrs_c.NotFoundError if status == 404 else zarrs_c.StorageError)
    assert rule.hits == 1


def test_an_error_says_nothing_twice_and_fits_a_screen(faults):
    helpers.one_row_chunks(faults, "a", 3)
    faults.rule("a/c/1/0", status=503)
    array = sync.open_array(faults.url("a"), storage_options=helpers.QUICK_RETRIES)
    text = str(error_of(sync.read, array))
    assert len(text) < 1000, text
    assert text.count("503 Service Unavailable") == 1, text


def test_defaults_give_up_within_a_minute():
    """A mistyped host must not look like a hang."""
    python(
        """
        import sys, zarrs_c
        try:
            zarrs_c.sync.open_array(sys.argv[1])
        except zarrs_c.StorageError:
            pass
        else:
            sys.exit("opened")
        """,
        f"http://127.0.0.1:{refused_port()}/a",
        timeout=55,
    )
