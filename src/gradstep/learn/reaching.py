"""How is a Dask cluster reached? One of this machine's own, or a scheduler somewhere; what can go wrong."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from gradstep.backends.threads import cores
from gradstep.expression.errors import MathError
from gradstep.learn.apart import dask_setup, deaf
from gradstep.learn.encryption import context_of, try_out

CONNECTS = 10.0  # seconds until a scheduler has to answer
MOST = 1024  # workers on one machine
HERE = ("127.0.0.1", "localhost", "::1")
MEND = '"local:4", the "tcp://…" or "tls://…" of a scheduler, or a distributed.Client'
GUARD = 'if __name__ == "__main__": around what trains, since workers on this machine load the script again'


def dask() -> Any:
    """The package `distributed`; a `MathError` where it is missing."""
    try:
        import distributed
    except ImportError:
        raise MathError(
            "a cluster is one of Dask, which is not installed", mend="pip install 'gradstep[cluster]'"
        ) from None
    return distributed


def check_cluster(asked: object) -> None:
    """Raises `MathError` for what is no cluster, before any is reached; None is none."""
    if asked is None:
        return
    distributed = dask()
    if isinstance(asked, distributed.Client):
        return
    if not isinstance(asked, str):
        raise MathError(f"a cluster is not {type(asked).__name__}", mend=MEND)
    kind, _, rest = asked.partition(":")
    if kind == "local":
        if rest and not (rest.isdecimal() and 1 <= int(rest) <= MOST):
            raise MathError(f"a local cluster has a number of workers, not {rest!r:.40}", mend='"local:4"')
        return
    try:
        parts = urlsplit(asked)
        whole = kind in ("tcp", "tls") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        whole = False
    if not whole:
        raise MathError("this is no address of a cluster", mend=MEND)
    if parts.username is not None or parts.password is not None:
        raise MathError("the address of a cluster holds no user and no password", mend=MEND)


@contextlib.contextmanager
def reached(asked: object) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The client of what was asked for, and what has to be said of the way there.

    What was started here ends here; a client that was given stays as it is.
    """
    check_cluster(asked)
    distributed = dask()
    if isinstance(asked, distributed.Client):
        if asked.scheduler is None:
            raise MathError("the client of the cluster is closed", mend="distributed.Client(…), still open")
        yield asked, words_about(asked.scheduler.address)
        return
    assert isinstance(asked, str)
    kind, _, rest = asked.partition(":")
    if kind == "local":
        with _local(rest) as client:
            yield client, ()
        return
    with contextlib.ExitStack() as open_:
        with reaching(asked):
            if kind == "tcp":
                try_out(asked, None, CONNECTS)
            elif not _config("distributed.client.security-loader"):  # which may have the certificates
                try_out(asked, context_of(distributed.Security(), asked), CONNECTS)
            client = distributed.Client(asked, timeout=CONNECTS, set_as_default=False)
        open_.callback(client.close)
        yield client, words_about(asked)


def _config(name: str) -> Any:
    """A setting of Dask's."""
    from dask import config

    return config.get(name, None)


@contextlib.contextmanager
def _local(count: str) -> Iterator[Any]:
    """Workers on this machine, which nobody else can reach."""
    distributed = dask()
    workers = int(count or cores())
    with contextlib.ExitStack() as open_:
        try:
            with deaf():
                local = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=max(1, cores() // workers),
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    worker_dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    preload=[*(_config("distributed.worker.preload") or ()), dask_setup.__module__],
                )
        except (OSError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise MathError("no workers could be started on this machine", facts=[why], mend=GUARD) from None
        open_.callback(_close, local)
        local.started_here = True
        client = distributed.Client(local, timeout=CONNECTS, set_as_default=False, direct_to_workers=True)
        open_.callback(client.close)
        yield client


def _close(local: Any) -> None:
    """Ends a cluster of this machine; Dask stumbles over a worker that was killed before it was listed."""
    try:
        local.close()
    except KeyError:  # all workers and the scheduler have ended by then, but not the thread of the cluster
        local.status = dask().Status.closed
        local.close()


def revive(client: Any) -> None:
    """Other workers for a cluster of this machine: Dask gives up one that is killed while it starts."""
    local = client.cluster
    if getattr(local, "started_here", False):
        count = len(local.worker_spec)
        local.scale(0)
        local.scale(count)


def words_about(address: str) -> tuple[str, ...]:
    """What has to be said, loudly, of a network before anything is sent over it."""
    if address.startswith(("tls:", "inproc:")) or urlsplit(address).hostname in HERE:
        return ()
    told = (
        f"{address} is not encrypted: whoever can reach that network can read the data, and run code on the "
        "workers and here; on one that is shared use tls:// and the certificates in Dask's configuration"
    )
    warnings.warn(told, stacklevel=2)
    return (told,)


@contextlib.contextmanager
def reaching(address: str) -> Iterator[None]:
    """A cluster that cannot be reached, or goes away, as an error that says so."""
    client = dask().client
    try:
        yield
    except MathError:
        raise
    except (ImportError, AttributeError) as error:
        raise MathError(
            f"the workers of {address} have another gradstep than this machine, or none",
            facts=[" ".join(str(error).split())[:200]],
            mend="pip install 'gradstep[cluster]', in the same version, where the workers run",
        ) from None
    except (client.FutureCancelledError, client.FuturesCancelledError):
        raise gone(address) from None
    except (OSError, TimeoutError, RuntimeError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())[:200]
        raise MathError(
            f"the cluster {address} cannot be reached", facts=[why] if why else (), mend=MEND
        ) from None


def gone(address: str) -> MathError:
    """The error for a cluster that was there."""
    return MathError(f"the cluster {address} has gone away", mend="the same training once it is back")
