import datetime
import hashlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets.mirror import BODY, FILE, MD5_FILE, NAME, Mirror, running_mirror, sending

from digitflow.datasets.catalogue import RemoteFile
from digitflow.datasets.transfers import RefusedError, download, find_unreachable, find_wrong_digest


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def silent() -> Iterator[str]:
    """Give an address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.parametrize("file", [FILE, MD5_FILE], ids=["sha256", "md5"])
def test_follows_a_redirect(
    mirror: Mirror, bad_mirror: Mirror, tmp_path: Path, file: RemoteFile
) -> None:
    bad_mirror.answers[NAME] = lambda request: request.reply(
        b"", status=302, Location=mirror.url + NAME
    )
    download(bad_mirror.url + NAME, file, tmp_path / NAME, deadline=10)
    assert (tmp_path / NAME).read_bytes() == BODY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate of this machine, valid for an hour, with its key in the same file."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs cryptography for https")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mirror")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - hour)
        .not_valid_after(now + hour)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path_factory.mktemp("certificate") / "mirror.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    return path


def test_refuses_a_redirect_from_https_to_http(
    mirror: Mirror, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with running_mirror(certificate) as secure:
        secure.answers[NAME] = lambda request: request.reply(
            b"", status=302, Location=mirror.url + NAME
        )
        with pytest.raises(RefusedError, match="redirects from https to http"):
            download(secure.url + NAME, FILE, tmp_path / NAME, deadline=10)
        assert mirror.asked == []
        secure.answers[NAME] = sending(BODY)
        download(secure.url + NAME, FILE, tmp_path / NAME, deadline=10)
        assert (tmp_path / NAME).read_bytes() == BODY


def test_refuses_a_certificate_it_cannot_verify(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with running_mirror(certificate) as secure:
        secure.answers[NAME] = sending(BODY)
        with pytest.raises(RefusedError, match="CERTIFICATE_VERIFY_FAILED"):
            download(secure.url + NAME, FILE, tmp_path / NAME, deadline=10)
        assert secure.asked == []


def test_finds_out_together_who_does_not_answer(mirror: Mirror, refusing: str, silent: str) -> None:
    started = time.monotonic()
    faults = find_unreachable([silent, refusing, mirror.url, silent + "2/"], deadline=0.5)
    assert time.monotonic() - started < 3
    assert faults == {
        silent: "no answer in 0.5 s",
        refusing: "Connection refused",
        silent + "2/": "no answer in 0.5 s",
    }


def test_finds_which_digest_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(BODY)
    md5 = hashlib.md5(BODY).hexdigest()
    assert find_wrong_digest(FILE, path) is None
    assert find_wrong_digest(RemoteFile(NAME, md5=md5), path) is None
    assert find_wrong_digest(RemoteFile(NAME, "0" * 64), path) == "SHA-256"
    assert find_wrong_digest(RemoteFile(NAME, md5="0" * 32), path) == "MD5"
    # Where both are known, the stronger one decides.
    assert find_wrong_digest(RemoteFile(NAME, "0" * 64, md5=md5), path) == "SHA-256"
