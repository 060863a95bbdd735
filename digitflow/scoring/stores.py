"""Places in object stores, by `s3://` URIs, and how to reach them.

Nothing is set up before a URI is met: local folders never pay.
"""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from digitflow.errors import UsageError

#: Seconds to wait for a connection, and for an answer that does not move. Each request is tried so
#: often: a store that is silent is given up within a minute.
CONNECT_SECONDS = 5
ANSWER_SECONDS = 15
ATTEMPTS = 3

#: What may stand in a URI's query, named as pyarrow names it.
_OPTIONS = ("endpoint_override", "region", "scheme", "tls_ca_file_path")

#: With these in the environment nobody needs to be asked where a bucket lies.
_REGION_KNOWN = ("AWS_REGION", "AWS_DEFAULT_REGION")

#: Where the store is, unless the URI tells; the first that is set.
_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PERHAPS_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")  # of a URI that was made a path
_OUT_OF_PLACE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?")
_FAILURE = re.compile(
    r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during \w+ operation: "
    r"(?:curlCode: \d+, ([^;]*)|Unable to parse ExceptionName: (\w+))?"
)
_NO_BUCKET = re.compile("Bucket '.*' not found")
_OTHER_REGION = re.compile(r"bucket is located in '([\w-]+)'")

_NEEDS_KEYS = (
    "access is denied; check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the "
    "profile or role) and what they may do"
)
_WHAT_TO_DO = {
    "NO_SUCH_BUCKET": "no such bucket; check its name, and endpoint_override where it is not AWS",
    "ACCESS_DENIED": _NEEDS_KEYS,
    "INVALID_ACCESS_KEY_ID": _NEEDS_KEYS,
    "SIGNATURE_DOES_NOT_MATCH": _NEEDS_KEYS,
    "INVALID_CLIENT_TOKEN_ID": _NEEDS_KEYS,
    "INVALID_SIGNATURE": _NEEDS_KEYS,
    "MISSING_AUTHENTICATION_TOKEN": _NEEDS_KEYS,
    "REQUEST_EXPIRED": _NEEDS_KEYS,
    "ExpiredToken": _NEEDS_KEYS,
    "InvalidToken": _NEEDS_KEYS,
    "TokenRefreshRequired": _NEEDS_KEYS,
}

#: What else tells of the store, and nothing of the object that was asked for.
_NOT_NOW = (
    *("INTERNAL_FAILURE", "REQUEST_TIMEOUT", "REQUEST_TIME_TOO_SKEWED", "SERVICE_UNAVAILABLE"),
    *("SLOW_DOWN", "THROTTLING", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504"),
)


@dataclass(frozen=True)
class StorePath:
    """A key, or the beginning of keys, in a bucket. Neither its text nor its repr has secrets."""

    key: str  # with its bucket in front, without slashes at the ends
    options: tuple[tuple[str, str], ...] = ()  # of the store, each of `_OPTIONS`
    credentials: tuple[str, str] | None = field(default=None, repr=False)  # key id and secret

    def __str__(self) -> str:
        """Return the URI by which runs over this place are known: the same store, the same text."""
        return f"s3://{self.key}" + (f"?endpoint_override={self.endpoint}" if self.endpoint else "")

    @property
    def endpoint(self) -> str | None:
        """The store's host, perhaps with a port; None for AWS."""
        return dict(self.options).get("endpoint_override")

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.key.partition("/")[0]


def is_uri(place: Path | str) -> bool:
    """Tell whether a place is given as a URI and not as a path."""
    return isinstance(place, str) and _SCHEME.match(place) is not None


def check_local(place: Path | str, what_to_do: str = "copy it to a local disk") -> None:
    """Refuse a URI where only a local path will do, also one that was made a `Path`.

    Parameters
    ----------
    place : Path or str
        Of anything. It is not shown, because a URI may hold what is secret.
    what_to_do : str
        As an order.

    Raises
    ------
    UsageError
        If it is one, and not a path all the same, in a folder of that odd name.
    """
    found = _PERHAPS_SCHEME.match(os.fsdecode(place))
    if found and not os.path.isdir(f"{found[1]}:"):  # noqa: PTH112  (it is no path)
        raise UsageError(f"{found[1].lower()}://…: only a local path will do here; {what_to_do}")


def parse_uri(uri: str) -> StorePath:
    """Return the place that a URI names.

    Parameters
    ----------
    uri : str
        ``s3://bucket/key``, percent-encoded where a key holds ``%``, ``?`` or ``#``; perhaps with
        ``key_id:secret@`` before the bucket, and options of the store as a query.

    Raises
    ------
    UsageError
        If it is of another kind. No message ever holds what may be secret.
    """
    scheme = uri.partition("://")[0].lower()
    if scheme != "s3":
        raise UsageError(f"{scheme}://…: only local paths and s3:// are supported")
    if _OUT_OF_PLACE.search(unquote(uri, errors="surrogateescape")):
        raise UsageError("s3://…: has control characters in it, or what is no UTF-8")
    try:
        parts = urlsplit(uri)
        query = parts.query
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=query != ""))
    except ValueError:
        raise UsageError("s3://…: is no valid URI; give s3://bucket/key?name=value&…") from None
    user, has_user, bucket = parts.netloc.rpartition("@")
    key_id, _, secret = user.partition(":")
    path = unquote(parts.path).strip("/")
    if "endpoint_override" not in options:
        options |= _endpoint_of_environment()
    place = StorePath(
        f"{bucket}/{path}" if path else bucket,
        tuple(sorted(options.items())),
        (unquote(key_id), unquote(secret)) if has_user else None,
    )
    _check(place, parts.fragment)
    return place


def refuse_secrets(place: Path | str, why_not: str) -> None:
    """Refuse a URI with credentials, where others would come to see it.

    Parameters
    ----------
    place : Path or str
        Of images or of a table.
    why_not : str
        What would become of it, as a clause.

    Raises
    ------
    UsageError
        If it has some.
    """
    if is_uri(place) and (parsed := parse_uri(str(place))).credentials:
        raise UsageError(
            f"{parsed}: {why_not}; leave the credentials out of the URI and put them into the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )


@lru_cache(maxsize=4)
def filesystem_of(place: StorePath) -> Any:
    """Return pyarrow's file system for a place; each process has its own.

    Raises
    ------
    UsageError
        If the options cannot be used or the bucket's region cannot be found out.
    """
    from pyarrow import fs

    options: dict[str, Any] = dict(place.options)
    if place.credentials:
        options["access_key"], options["secret_key"] = place.credentials
    try:
        known = {"region", "endpoint_override"} & options.keys()
        if not known and not any(os.environ.get(name) for name in _REGION_KNOWN):
            options["region"] = fs.resolve_s3_region(place.bucket)
        return fs.S3FileSystem(
            **options,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=ANSWER_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            # A small table goes up in one piece, without the three requests of a large one.
            allow_delayed_open=True,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"{place}: {why(error)}") from None


def why(error: Exception) -> str:
    """Return what a failure of the store means and what to do, in a line without secrets."""
    code, network = failure_of(error)
    region = _OTHER_REGION.search(str(error))
    if region:
        return f"the bucket lies in another region; say so: ?region={region[1]}"
    if network:
        return f"the store cannot be reached ({network}); check the endpoint and the network"
    if code is None:
        return "the store cannot be used so; check the URI and its options"
    return _WHAT_TO_DO.get(code, f"the store refuses ({code}); see what it means and run again")


def failure_of(error: Exception) -> tuple[str | None, str | None]:
    """Return the code of a failure, and what is wrong with the network if that is it.

    It is the SDK's; the store's, where the SDK does not know it; or the HTTP status, as `HTTP 400`,
    where the store says no more.
    """
    found = _FAILURE.search(str(error))
    if found is None:
        return "NO_SUCH_BUCKET" if _NO_BUCKET.search(str(error)) else None, None
    code, status, network, name = found.groups()
    if code == "UNKNOWN" and status:
        code = name or f"HTTP {status}"
    if code in ("NETWORK_CONNECTION", "REQUEST_TIMEOUT") and not network:
        network = "no answer"
    return code, network


def is_of_store(error: Exception) -> bool:
    """Tell whether a failure is one of the store or the credentials, whatever was asked for."""
    code, network = failure_of(error)
    of_all = code in _NOT_NOW or (code in _WHAT_TO_DO and code != "ACCESS_DENIED")
    return of_all or network is not None


def _endpoint_of_environment() -> dict[str, str]:
    """Return the options that AWS's own variables stand for.

    The SDK reads them too, but would put the bucket's name before the host's.
    """
    name = next(filter(os.environ.get, _ENDPOINT), None)
    if name is None:
        return {}
    try:
        parts = urlsplit(os.environ[name])
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{name}: is no http://host:port or https://host:port; set it so")
    return {"endpoint_override": parts.netloc.rpartition("@")[2], "scheme": parts.scheme}


def _check(place: StorePath, fragment: str) -> None:
    if ":" in place.bucket:  # perhaps half of a secret
        raise UsageError(
            "s3://…: a bucket has no ':' in its name; write / in a secret as %2F, and a host as "
            "?endpoint_override=host:9000"
        )
    unknown = [name for name, _ in place.options if name not in _OPTIONS]
    if unknown:
        raise UsageError(
            f"s3://{place.key}: no option {unknown[0]!r}; there are {', '.join(_OPTIONS)}"
        )
    if dict(place.options).get("scheme", "https") not in ("http", "https"):
        raise UsageError(f"s3://{place.key}: scheme is http or https")
    if not _HOST.fullmatch(dict(place.options).get("endpoint_override", "localhost")):
        raise UsageError(f"s3://{place.key}: endpoint_override is a host, perhaps with :port")
    if not place.bucket or "/" in place.bucket:
        raise UsageError("s3://…: names no bucket; give s3://bucket/folder")
    if fragment:
        raise UsageError(f"s3://{place.key}: write # in a key as %23")
    if {"", ".", ".."} & {*place.key.split("/")}:
        raise UsageError(
            f"s3://{place.key}: a key with an empty name, '.' or '..' in it is out of reach"
        )
    if place.credentials and not all(place.credentials):
        raise UsageError(f"s3://{place.key}: give both halves of the credentials, or none")
