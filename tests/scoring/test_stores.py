"""URIs of object stores: what they name, and what is never shown of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import fs

from digitflow.errors import UsageError
from digitflow.scoring.drift import measure_drift
from digitflow.scoring.folder import score_folder
from digitflow.scoring.review import write_sheet
from digitflow.scoring.stores import (
    StorePath,
    check_local,
    failure_of,
    filesystem_of,
    is_uri,
    parse_uri,
    refuse_secrets,
    why,
)

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://bucket/scans", True),
        ("S3://bucket/scans", True),
        ("gs://bucket", True),
        ("scans", False),
        ("s3:/scans", False),
        ("./s3://scans", False),
        ("", False),
        (Path("s3:/bucket"), False),
    ],
)
def test_uris_are_told_from_paths(place: Path | str, expected: bool):
    assert is_uri(place) is expected


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://bucket", "bucket"),
        ("s3://bucket/", "bucket"),
        ("s3://bucket/scans/", "bucket/scans"),
        ("S3://bucket/a/b%20c%3f%25", "bucket/a/b c?%"),
        ("s3://bucket/a b", "bucket/a b"),
        ("s3://key:secret@bucket/scans", "bucket/scans"),
        ("s3://bucket/é", "bucket/é"),
    ],
)
def test_a_uri_names_a_bucket_and_a_key(uri: str, key: str):
    assert parse_uri(uri).key == key
    assert parse_uri(uri).bucket == "bucket"


def test_options_and_credentials_are_read():
    place = parse_uri("s3://key:a%2Fb%40@bucket/x?scheme=http&endpoint_override=host:9000")

    assert place.options == (("endpoint_override", "host:9000"), ("scheme", "http"))
    assert place.credentials == ("key", "a/b@")


def test_the_endpoint_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://host:9000")

    assert parse_uri("s3://bucket/x") == parse_uri(
        "s3://bucket/x?endpoint_override=host:9000&scheme=http"
    )
    assert str(parse_uri("s3://bucket/x?endpoint_override=other")).endswith("=other")


@pytest.mark.parametrize("url", ["host:9000", "//host", "ftp://host", "http://[::1"])
def test_an_endpoint_in_the_environment_that_is_no_url_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    with pytest.raises(UsageError, match=r"^AWS_ENDPOINT_URL: is no http://host:port"):
        parse_uri("s3://bucket/x")


def test_the_text_of_a_place_tells_the_store_but_no_secret():
    place = parse_uri(f"s3://key:{SECRET}@bucket/x?scheme=http&endpoint_override=host:9000")

    assert str(place) == "s3://bucket/x?endpoint_override=host:9000"
    assert SECRET not in repr(place)
    assert str(parse_uri("s3://bucket/x?region=eu-west-1")) == "s3://bucket/x"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"gs://key:{SECRET}@bucket/x", "gs://…: only local paths and s3://"),
        (f"https://bucket/x?token={SECRET}", "https://…: only local paths"),
        ("s3://", "names no bucket"),
        (f"s3://key:{SECRET}@/x", "names no bucket"),
        (f"s3://key:{SECRET}@bucket/x?secret_key={SECRET}", "no option 'secret_key'"),
        (f"s3://key:{SECRET}@bucket/x?{SECRET}", "is no valid URI"),
        (f"s3://key:{SECRET}@[bucket/x", "is no valid URI"),
        (f"s3://key:{SECRET}@bucket/x?scheme={SECRET}", "scheme is http or https"),
        (f"s3://bucket/x?endpoint_override=key:{SECRET}@host", "endpoint_override is a host"),
        (f"s3://key:{SECRET}@bucket/x#1", "write # in a key as %23"),
        (f"s3://key:{SECRET}@bucket/x//y", "out of reach"),
        (f"s3://key:{SECRET}@bucket/../y", "out of reach"),
        (f"s3://{SECRET}@bucket/y", "both halves"),
        (f"s3://key:a/{SECRET}@bucket/y", "write / in a secret as %2F"),
        (f"s3://key:{SECRET}/a@bucket/y", "write / in a secret as %2F"),
        (f"s3://key:{SECRET}#a@bucket/y", "write / in a secret as %2F"),
        ("s3://host:9000/bucket/y", "endpoint_override=host:9000"),
        ("s3://bucket/a%0Ab", "control characters"),
        ("s3://bucket/a\tb", "control characters"),
        ("s3://bucket/%00", "control characters"),
        ("s3://bucket/%ff", "control characters"),
        (os.fsdecode(b"s3://bucket/\xff"), "control characters"),
    ],
)
def test_what_cannot_be_used_is_refused_and_shows_no_secret(uri: str, words: str):
    with pytest.raises(UsageError) as refused:
        parse_uri(uri)

    assert words in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_credentials_in_a_uri_are_refused_where_others_would_see_it():
    refuse_secrets("s3://bucket/x", "all can see it")
    refuse_secrets("images", "all can see it")
    with pytest.raises(UsageError, match="s3://bucket/x: all can see it; leave") as refused:
        refuse_secrets(f"s3://key:{SECRET}@bucket/x", "all can see it")

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("make", [str, Path])
def test_where_a_local_path_is_needed_a_uri_is_refused_and_not_shown(
    make: type, images: Path, output: Path, tmp_path: Path
):
    uri = make(f"s3://key:{SECRET}@bucket/x.parquet")
    page = tmp_path / "page.html"
    score_folder(images, output)
    for refused in (
        lambda: measure_drift(uri),
        lambda: measure_drift(output, [uri]),
        lambda: write_sheet(uri, page),
        lambda: write_sheet(output, make(f"s3://key:{SECRET}@bucket/x.html")),
        lambda: write_sheet(output, page, images=uri),
        lambda: score_folder(images, output, model=uri),
        lambda: score_folder(Path(uri), output),
        lambda: score_folder(images, Path(uri)),
    ):
        with pytest.raises(UsageError, match=r"^s3://…: only a local path will do") as told:
            refused()
        assert SECRET not in str(told.value)


def test_a_folder_with_the_name_of_a_scheme_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    check_local("s3", "do it")
    check_local("./s3:/x")
    Path("s3:").mkdir()
    check_local(Path("s3:/x"))


@pytest.mark.parametrize(
    ("said", "code", "network"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation: No", "ACCESS_DENIED", None),
        (
            "x: AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, No way; D",
            "NETWORK_CONNECTION",
            "No way",
        ),
        ("AWS Error NETWORK_CONNECTION during X operation: ?", "NETWORK_CONNECTION", "no answer"),
        ("AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No", "HTTP 400", None),
        (
            "AWS Error UNKNOWN (HTTP status 400) during ListObjectsV2 operation: Unable to parse "
            "ExceptionName: ExpiredToken Message: The token has expired.",
            "ExpiredToken",
            None,
        ),
        ("Bucket 'x' not found", "NO_SUCH_BUCKET", None),
        ("anything else", None, None),
    ],
)
def test_failures_are_understood(said: str, code: str | None, network: str | None):
    assert failure_of(OSError(said)) == (code, network)
    assert "\n" not in why(OSError(said))


def test_the_region_of_a_bucket_is_told():
    said = (
        "When listing objects under key 'x/' in bucket 'b': Looks like the configured region is "
        "'eu-west-1' while the bucket is located in 'us-east-2'.AWS Error UNKNOWN (HTTP status "
        "301) during ListObjectsV2 operation: Unable to parse ExceptionName: PermanentRedirect"
    )

    assert why(OSError(said)) == "the bucket lies in another region; say so: ?region=us-east-2"


def test_a_bucket_that_aws_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch):
    def fail(bucket: str) -> str:
        raise OSError(f"Bucket '{bucket}' not found")

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fs, "resolve_s3_region", fail)

    with pytest.raises(UsageError, match=r"^s3://no-such-bucket/x: no such bucket; check its name"):
        filesystem_of(parse_uri("s3://no-such-bucket/x"))


def test_places_are_the_same_by_all_that_leads_to_them():
    assert parse_uri("s3://b/x?scheme=http&region=r") == parse_uri("s3://b/x?region=r&scheme=http")
    assert parse_uri("s3://b/x") != parse_uri("s3://k:s@b/x")
    assert StorePath("b/x") == parse_uri("s3://b/x/")


def test_local_runs_never_meet_a_store(images: Path, output: Path):
    script = (
        "import sys; from digitflow.scoring.folder import score_folder; "
        f"score_folder({str(images)!r}, {str(output)!r}, workers=1); "
        "from digitflow.scoring.stores import filesystem_of; "
        "print('digitflow.scoring.objects' in sys.modules, filesystem_of.cache_info().misses)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False 0"
