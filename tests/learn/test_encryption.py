"""Is a cluster spoken with in secret, and is it said what stands in the way? Certificates are made here."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest
from click.testing import CliRunner
from clusters import NEURON, STEPS, bits, store_in
from tables import each

import gradstep as gs
from gradstep.commands.train import command
from gradstep.expression.errors import MathError
from gradstep.learn import encryption, opening, reaching

dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("tiny_windows")]

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
PASSWORD = "quite secret"
MADE = (
    ("req", "-x509", *CURVE, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"),
    ("req", *CURVE, "-subj", "/CN=one", "-keyout", "key.pem", "-out", "asked.pem"),
    ("x509", "-req", "-in", "asked.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "cert.pem"),
    ("pkey", "-in", "key.pem", "-aes256", "-passout", f"pass:{PASSWORD}", "-out", "locked.pem"),
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The folders of an authority and of another one, each with a certificate that it has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    found = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    for where in found:
        for words in MADE:
            subprocess.run(["openssl", *words], cwd=where, check=True, capture_output=True, timeout=20)
    return found


def trusted(where, **others):
    """Dask's configuration with the certificates in a folder, but for others."""
    named = {"ca_file": where / "ca.pem", "cert": where / "cert.pem", "key": where / "key.pem", **others}
    return {
        "distributed.comm.tls.ca-file": named["ca_file"] and str(named["ca_file"]),
        "distributed.comm.tls.client.cert": named["cert"] and str(named["cert"]),
        "distributed.comm.tls.client.key": named["key"] and str(named["key"]),
    }


@pytest.fixture(scope="module")
def address(forked, certificates):
    """That of a scheduler with a worker, who speak with nobody without a certificate."""
    ours = certificates[0]
    named = {
        f"tls_{who}_{what}": str(ours / f"{what}.pem")
        for who in ("scheduler", "worker", "client")
        for what in ("cert", "key")
    }
    security = distributed.Security(tls_ca_file=str(ours / "ca.pem"), require_encryption=True, **named)
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        protocol="tls",
        scheduler_kwargs={"dashboard": False},
        security=security,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    ) as cluster:
        yield cluster.scheduler_address


def test_workers_behind_tls_come_to_the_same_bits(address, certificates, folder, one_process, monkeypatch):
    assert address.startswith("tls://")
    with dask.config.set(trusted(certificates[0])):
        fit = gs.train(NEURON, store_in(folder), cluster=address, **STEPS)
        assert bits(fit) == one_process
        assert f"1 worker of {address}" in "\n".join(fit.notes) and "not encrypted" not in "\n".join(
            fit.notes
        )
        monkeypatch.setattr(opening, "EASY", 100)
        words = [str(folder / "table.npy"), "--target", "4", "--steps", "2", "--cluster", address]
        typed = CliRunner().invoke(command, words)
    assert typed.exit_code == 0 and f"1 worker of {address}" in typed.output


WRONG = [
    (lambda us, them: {}, "needs certificates", "client.key"),
    (lambda us, them: trusted(us, key=None), "should be the key", "cert.pem: it holds none"),
    (lambda us, them: trusted(them), "not one that you trust", "ca-file"),
    (lambda us, them: trusted(them, ca_file=us / "ca.pem"), "does not accept", "client.cert"),
    (lambda us, them: trusted(us, key=them / "key.pem"), "not that of your certificate", "key.pem"),
    (lambda us, them: trusted(us, ca_file="nowhere.pem"), "no such file", "nowhere.pem"),
    (lambda us, them: trusted(us, cert=us / "key.pem"), "should be your certificate", "it holds none"),
    (lambda us, them: trusted(us, cert="-----BEGIN CERTIFICATE-----\n"), "damaged", "but a text"),
    (lambda us, them: trusted(us, key=us / "locked.pem"), "locked with a password", "locked.pem"),
    (lambda us, them: trusted(us, key=in_a_line(us)), "cannot be read", "but a text"),
]


def in_a_line(where):
    return (where / "key.pem").read_text().replace("\n", "")


@each(("named", "told", "fact"), WRONG, ids=[told for _, told, _ in WRONG])
def test_what_is_wrong_with_certificates_is_said_at_once(named, told, fact, address, certificates, folder):
    began = time.monotonic()
    with dask.config.set(named(*certificates)), pytest.raises(MathError) as error:
        gs.train(NEURON, store_in(folder), cluster=address, **STEPS)
    said = str(error.value)
    assert told in said and fact in said and error.value.mend
    secrets = [line for where in certificates for line in (where / "key.pem").read_text().split("\n")[1:-2]]
    assert secrets and not any(each in said for each in [PASSWORD, *secrets])
    assert time.monotonic() - began < 5


def test_who_does_not_speak_tls_is_told_so(address, certificates, folder, client, monkeypatch):
    plain = client.scheduler.address
    monkeypatch.setattr(encryption, "SILENT", 0.2)
    with pytest.raises(MathError, match="hangs up") as error:
        gs.train(NEURON, store_in(folder), cluster=address.replace("tls:", "tcp:"), **STEPS)
    assert error.value.mend == address
    with (
        dask.config.set(trusted(certificates[0])),
        pytest.raises(MathError, match="does not speak TLS") as error,
    ):
        gs.train(NEURON, store_in(folder), cluster=plain.replace("tcp:", "tls:"), **STEPS)
    assert error.value.mend == plain


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_what_says_nothing_is_no_scheduler(kind, certificates, folder, monkeypatch):
    """Dask would wait for it without end."""
    monkeypatch.setattr(encryption, "SILENT", 0.1)
    monkeypatch.setattr(reaching, "CONNECTS", 0.3)
    with dask.config.set(trusted(certificates[0])), pytest.raises(MathError, match="cannot be reached"):
        gs.train(NEURON, store_in(folder), cluster=f"{kind}://127.0.0.1:9", **STEPS)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        where = f"{kind}://127.0.0.1:{silent.getsockname()[1]}"
        with dask.config.set(trusted(certificates[0])), pytest.raises(MathError, match="says nothing"):
            gs.train(NEURON, store_in(folder), cluster=where, **STEPS)


@pytest.fixture(scope="module")
def client():
    """A scheduler that does not encrypt."""
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster, set_as_default=False) as found,
    ):
        yield found
