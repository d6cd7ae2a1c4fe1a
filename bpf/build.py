#!/usr/bin/env python3
"""Build the BPF blobs that the package carries, or check that the committed ones are these.

A blob is a libbpf "light skeleton": one file with the data and the instructions of a small
program that makes the maps and loads the programs, so that an endpoint needs no libbpf. The
manifest beside it says where in the loader's context each file descriptor appears (that depends on
the libbpf of the build), how the records are laid out, and of what the blob was made. The build
needs no BTF of a kernel and gives the same bytes in any folder.

    python3 build.py            write src/deodar/agent/sensors/blobs
    python3 build.py --check    build aside and compare; exit code 1 and a text when they differ
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOBS = HERE.parent / "src" / "deodar" / "agent" / "sensors" / "blobs"
TOOLS = ("clang-14", "llvm-strip-14", "bpftool")
SHARED = ("common.h", "head.h", "kernel.h")
PARTS = {
    "core": ("core.h", "paths.h", "pids.h", "exec.h", "life.h", "tcp.h", "records.h"),
    "files": (
        "files.h",
        "files_records.h",
        "files_calls.h",
        "files_paths.h",
        "files_report.h",
        "files_opened.h",
        "files_named.h",
        "files_libraries.h",
        "fds.h",
        "pids.h",
        "times.h",
    ),
    "calls": (
        "calls.h",
        "fds.h",
        "paths.h",
        "pids.h",
        "times.h",
        "access.h",
        "repeats.h",
        "bpf_use.h",
        "memfd.h",
        "module_calls.h",
        "net.h",
        "console.h",
        "reads.h",
        "call_records.h",
        "module_records.h",
        "net_records.h",
    ),
    "groups": ("group_records.h",),
    "modules": ("module_records.h",),
    "pam": ("pam.h", "pam_records.h"),
}
"""Blobs and their sources beside NAME.bpf.c, NAME.layout.c and what all share."""
CONTEXT_HEAD = 24  # struct bpf_loader_ctx of libbpf 1.1
MAP_BYTES = 16  # struct bpf_map_desc: fd, max_entries, initial_value
PROGRAM_BYTES = 4  # struct bpf_prog_desc: fd


class BuildError(Exception):
    """A tool is missing or failed; the text is for the developer."""


def run(*command: str, cwd: Path) -> str:
    """Run a tool; returns its standard output, raises BuildError with its complaint."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{command[0]} failed:\n{result.stderr}")
    return result.stdout


def tool(name: str) -> str:
    """Return the path of a build tool (root's folders too); raises BuildError if it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise BuildError(f"{name} is missing; apt-get install clang-14 llvm-14 bpftool libbpf-dev")
    return found


def compile_object(source: str, target: Path) -> None:
    """Compile one BPF source; nothing in the object names the folder it was made in."""
    flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
    flags += ["-Wno-unused-parameter", f"-ffile-prefix-map={HERE}=.", "-fdebug-compilation-dir=."]
    run(tool("clang-14"), *flags, "-c", source, "-o", str(target), cwd=HERE)
    run(tool("llvm-strip-14"), "-g", str(target), cwd=HERE)


def literal(header: str, name: str) -> bytes:
    """Return the bytes of a C string in a generated skeleton."""
    found = re.search(rf'opts\.{name} = \(void \*\)"(.*?)";', header, re.DOTALL)
    size = re.search(rf"opts\.{name}_sz = (\d+);", header)
    if found is None or size is None:
        raise BuildError(f"bpftool's skeleton has no {name}; another version than 7.1?")
    codes = found[1].replace("\\\n", "").split("\\")[1:]
    data = bytes(int(code.removeprefix("x"), 16) for code in codes)
    if len(data) != int(size[1]):
        raise BuildError(f"bpftool's skeleton spells {name} in an unknown way")
    return data


def context(header: str) -> dict[str, Any]:
    """Return the offsets of the loader's context: of each map and of each program."""
    maps = re.findall(r"struct bpf_map_desc (\w+);", header)
    programs = re.findall(r"struct bpf_prog_desc (\w+);", header)
    start = CONTEXT_HEAD + MAP_BYTES * len(maps)
    size = start + PROGRAM_BYTES * len(programs)
    return {
        "bytes": (size + 7) // 8 * 8,
        "maps": {name: CONTEXT_HEAD + MAP_BYTES * i for i, name in enumerate(maps)},
        "programs": {name: start + PROGRAM_BYTES * i for i, name in enumerate(programs)},
    }


def records(types: list[dict[str, Any]]) -> dict[str, Any]:
    """Return size and field offsets of each structure that is a record or a record's head."""
    layout = {}
    for kind in types:
        name = kind["name"]
        if kind["kind"] == "STRUCT" and (name.endswith("_record") or name == "record_head"):
            fields = {field["name"]: field["bits_offset"] // 8 for field in kind["members"]}
            layout[name] = {"bytes": kind["size"], "fields": fields}
    return layout


def sources(name: str) -> list[str]:
    """Return the files that a blob is made of."""
    return [f"{name}.bpf.c", *SHARED, *PARTS[name], f"{name}.layout.c"]


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def manifest(name: str, header: str, blob: bytes, split: int, work: Path) -> dict[str, Any]:
    """Return what the loader and a reader need to know about a blob."""
    compile_object(f"{name}.layout.c", work / "layout.o")
    dump = run(tool("bpftool"), "-j", "btf", "dump", "file", "layout.o", cwd=work)
    version = run(tool("bpftool"), "version", cwd=work).split("\n")
    return {
        "name": name,
        "license": "GPL-2.0-only OR BSD-2-Clause",
        "blob": {"sha256": digest(blob), "data_bytes": split, "bytes": len(blob)},
        "context": context(header),
        "records": records(json.loads(dump)["types"]),
        "compiler": run(tool("clang-14"), "--version", cwd=work).split("\n")[0],
        "generator": ", ".join(line.strip() for line in version[:2]),
        "sources": {file: digest((HERE / file).read_bytes()) for file in sources(name)},
    }


def build(target: Path) -> None:
    """Write blob and manifest of every part into a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in PARTS:
            compile_object(f"{name}.bpf.c", work / f"{name}.o")
            header = run(tool("bpftool"), "gen", "skeleton", "-L", f"{name}.o", cwd=work)
            data = literal(header, "data")
            blob = data + literal(header, "insns")
            facts = manifest(name, header, blob, len(data), work)
            (target / f"{name}.blob").write_bytes(blob)
            (target / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def differences() -> list[str]:
    """Build aside; returns one text for each committed file that is not what the build gives."""
    with tempfile.TemporaryDirectory() as temporary:
        build(Path(temporary))
        made = {path.name: path.read_bytes() for path in Path(temporary).iterdir()}
    kept = {path.name: path.read_bytes() for path in BLOBS.iterdir() if path.suffix != ".py"}
    return [
        f"{BLOBS / name} is not what bpf/ builds"
        for name in sorted(made.keys() | kept.keys())
        if made.get(name) != kept.get(name)
    ]


def main() -> int:
    """Build or check, as the command line says."""
    parser = argparse.ArgumentParser(description="Build the BPF blobs of the package.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    try:
        if not parser.parse_args().check:
            build(BLOBS)
            return 0
        found = differences()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    for text in found:
        print(f"{text}; run: make -C bpf", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
