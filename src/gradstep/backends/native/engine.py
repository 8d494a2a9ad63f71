"""How does text become machine code? By LLVM, once: objects are kept on disk and found again.

What is kept is found by its text, the version of LLVM and the processor; beside each object stands its hash,
and one that does not match is not loaded. Needs the package llvmlite.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from gradstep.expression.errors import MathError

MARK = b"gradstep object 1\n"
MOST = 1000  # objects that are kept


@cache
def _llvm() -> Any:
    """The binding of LLVM, ready for this machine; a `MathError` where it is missing."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        raise MathError(
            "the native back end needs the package llvmlite", mend="pip install 'gradstep[fast]'"
        ) from None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def available() -> bool:
    """Whether LLVM is there."""
    try:
        _llvm()
    except MathError:
        return False
    return True


@cache
def features() -> frozenset[str]:
    """What this processor can do, by LLVM's names: avx2, avx512f, neon …"""
    return frozenset(name for name, has in _llvm().get_host_cpu_features().items() if has)


def processor_name() -> str:
    """What LLVM calls this processor."""
    return str(_llvm().get_host_cpu_name())


@cache
def vector_bytes() -> int:
    """How wide the registers for vectors are."""
    return 64 if {"avx512f", "avx512vl", "avx512dq"} <= features() else 32 if "avx2" in features() else 16


@cache
def registers() -> int:
    """How many of them there are."""
    return 32 if vector_bytes() == 64 or {"neon", "sve"} & features() else 16


@cache
def _machine() -> Any:
    llvm = _llvm()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    flags = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=flags, opt=2, reloc="pic", codemodel="jitdefault"
    )


@cache
def identity() -> str:
    """What an object depends on beside its text."""
    llvm = _llvm()
    import llvmlite

    flags = llvm.get_host_cpu_features().flatten()
    parts = (llvmlite.__version__, llvm.get_process_triple(), llvm.get_host_cpu_name(), flags)
    return "\n".join(map(str, parts))


def machine_code(text: str) -> bytes:
    """The object of a text, which is written so that passes would find nothing to better."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_process_triple()
    module.verify()
    return bytes(_machine().emit_object(module))


# ------------------------------------------------------------------------------------------- kept objects


def cache_folder() -> Path:
    """Where objects are kept: GRADSTEP_CACHE, else the user's folder for such things."""
    given = os.environ.get("GRADSTEP_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "gradstep" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gradstep"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradstep"


def kept(key: str) -> bytes | None:
    """The object that is kept under this key, if it is whole."""
    try:
        whole = (cache_folder() / f"{key}.o").read_bytes()
    except OSError:
        return None
    head = len(MARK) + 32
    told, body = whole[len(MARK) : head], whole[head:]
    sound = whole.startswith(MARK) and told == hashlib.sha256(key.encode() + body).digest()
    return body if sound else None


def keep(key: str, body: bytes) -> None:
    """Keeps an object; where nothing can be written, nothing is kept."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(MARK + hashlib.sha256(key.encode() + body).digest() + body)
        os.replace(name, folder / f"{key}.o")
        others = sorted(folder.glob("*.o"), key=lambda file: file.stat().st_mtime)
        for old in others[:-MOST]:
            old.unlink()
    except OSError:
        return


def object_of(text: str) -> bytes:
    """The object of a text, kept or new."""
    key = hashlib.sha256((identity() + "\n" + text).encode()).hexdigest()
    body = kept(key)
    if body is None:
        body = machine_code(text)
        keep(key, body)
    return body


# ------------------------------------------------------------------------------------------- functions


def load(text: str, name: str) -> Callable[[int], None]:
    """The function of this name, which takes one address. It runs without Python's lock."""
    llvm = _llvm()
    body = object_of(text)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine_of_engine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(body))
    engine.finalize_object()
    made: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(name))
    made.lives_in = (engine, body)  # as long as the function does
    function: Callable[[int], None] = made
    return function


@lru_cache(64)
def loaded(text: str, name: str) -> Callable[[int], None]:
    """The same, remembered."""
    return load(text, name)


def _machine_of_engine() -> Any:
    """An engine owns its machine, so that each has one."""
    llvm = _llvm()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(codemodel="jitdefault", reloc="pic")
