"""Can a scheduler be spoken with in secret? What its certificates and ours say, before anything is sent.

Dask reads the certificates from its configuration, tells little of what is wrong with them, and waits without
end for what accepts a line and says nothing. So the line is tried first: a scheduler speaks at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from gradstep.expression.errors import MathError

# What Dask's configuration calls them under distributed.comm.tls, what they are, and what such a file holds.
NEEDED = {
    "ca-file": ("the certificate of the authority that all trust", "CERTIFICATE"),
    "client.cert": ("your certificate, which that authority has signed", "CERTIFICATE"),
    "client.key": ("the key of your certificate", "PRIVATE KEY"),
}
MEND = " ".join(
    f"DASK_DISTRIBUTED__COMM__TLS__{name.replace('.', '__').replace('-', '_').upper()}={file}"
    for name, file in zip(NEEDED, ("ca.pem", "cert.pem", "key.pem"), strict=True)
)
SILENT = 1.0  # seconds in which a scheduler has begun to speak

Context: TypeAlias = ssl.SSLContext


def context_of(security: Any, address: str) -> Context:
    """The certificates that Dask's configuration names for a client; a `MathError` where they are of no use.

    What is in them, or in the configuration instead of a path, is never told.
    """
    found = security.get_tls_config_for_role("client")
    named = dict(zip(NEEDED, (found["ca_file"], found["cert"], found["key"] or found["cert"]), strict=True))
    absent = [name for name, value in named.items() if not value]
    if absent:
        raise MathError(
            f"{address} needs certificates, which Dask's configuration does not name",
            facts=[f"distributed.comm.tls.{name}: {NEEDED[name][0]}" for name in absent],
            mend=MEND,
        )
    for name, value in named.items():
        _check(name, value)
    try:
        context: Context = security.get_connection_args("client")["ssl_context"]
    except (ssl.SSLError, ValueError, OSError) as error:
        apart = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        why = "the key is not that of your certificate" if apart else "they are damaged, or not in PEM"
        raise MathError(
            f"the certificates cannot be used: {why}",
            facts=[_named(name, value) for name, value in named.items()],
            mend=MEND,
        ) from None
    return context


def _check(name: str, value: str) -> None:
    """Raises `MathError` where a file does not hold what it should, or the configuration in its place."""
    what, holds = NEEDED[name]
    try:
        text = value if "\n" in value else Path(value).read_text("ascii", "replace")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise MathError(f"{what} cannot be read: {reason}", facts=[_named(name, value)], mend=MEND) from None
    if f"{holds}-----" not in text:
        raise MathError(
            f"there should be {what}, in PEM", facts=[f"{_named(name, value)}: it holds none"], mend=MEND
        )
    if holds != "CERTIFICATE" and "ENCRYPTED" in text:
        raise MathError(
            f"{what} is locked with a password, which Dask cannot be told",
            facts=[_named(name, value)],
            mend="openssl pkey -in key.pem -out open.pem, in a folder that nobody else can read",
        )


def _named(name: str, value: str) -> str:
    """Where it is, but where it stands in the configuration itself, which may be a key."""
    apart = "\n" not in value and "--BEGIN" not in value
    return f"distributed.comm.tls.{name} is {value if apart else 'no path but a text'}"


def try_out(address: str, context: Context | None, seconds: float) -> None:
    """Raises `MathError` where something listens at an address and is no scheduler that can be spoken with.

    Where nothing listens yet, it is for Dask to wait.
    """
    parts = urlsplit(address)
    try:
        line = socket.create_connection((parts.hostname or "", parts.port or 0), seconds)
    except OSError:
        return
    with contextlib.closing(line), contextlib.suppress(ConnectionError):
        try:
            if context is None:
                _hear(line, parts.netloc)
            else:
                with context.wrap_socket(line) as secured:
                    secured.recv(1)
        except ssl.SSLCertVerificationError as error:
            raise MathError(
                f"the certificate of {address} is not one that you trust: {error.verify_message}",
                facts=["you trust those that are signed by distributed.comm.tls.ca-file"],
                mend="the ca.pem that signed the certificate of the scheduler",
            ) from None
        except ssl.SSLError as error:
            told = (error.reason or "TLS failed").replace("_", " ").lower()
            if "alert" in told:
                raise MathError(
                    f"{address} does not accept your certificate: {told}",
                    facts=["yours is distributed.comm.tls.client.cert"],
                    mend="a certificate signed by the authority that the scheduler trusts",
                ) from None
            raise MathError(
                f"{address} does not speak TLS", facts=[told], mend=f"tcp://{parts.netloc}"
            ) from None
        except TimeoutError:
            raise MathError(
                f"{address} says nothing, as a scheduler would at once", mend="the address of a scheduler"
            ) from None


def _hear(line: socket.socket, where: str) -> None:
    """The first word of a scheduler; one that speaks TLS waits for the other to begin, and then hangs up."""
    patience = line.gettimeout()
    line.settimeout(SILENT)
    try:
        line.recv(1)
        return
    except TimeoutError:
        line.settimeout(patience)
    try:
        line.sendall(bytes(8))
        heard = line.recv(1)
    except ConnectionError:
        heard = b""
    if not heard:
        raise MathError(f"tcp://{where} hangs up: perhaps it speaks TLS", mend=f"tls://{where}")
