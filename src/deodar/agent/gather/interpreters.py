"""Which script a program was told to run: a file, code on the command line, or standard input.

Interpreters read their options in few ways; a table says which is whose. An option that is not in
it is taken as one without a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import Exec

_VERSION = re.compile(rb"[-.\d]+$")
MULTIPLE = frozenset({b"busybox", b"toybox"})
"""Programs that are many, by their first argument or their own name."""


class Script(NamedTuple):
    """Where a script comes from."""

    kind: Literal["file", "code", "stdin"]
    value: bytes = b""
    """The path as the process got it, or the code."""


@dataclass(frozen=True, kw_only=True)
class Syntax:
    """How a family of interpreters reads its command line."""

    code: frozenset[str] = frozenset()
    """Options whose value is a script."""
    code_is_operand: bool = False
    """After such an option the script is the first argument that is no option, as in sh -c."""
    values: frozenset[str] = frozenset()
    """Options with a value in the next argument, if not in the same."""
    files: frozenset[str] = frozenset()
    """Options whose value is the file of the script."""
    attached: frozenset[str] = frozenset()
    """Options with a value in the same word, if they have one."""
    stdin: frozenset[str] = frozenset()
    """Options by which it runs its standard input."""
    others: frozenset[str] = frozenset()
    """Options that make it run something else, such as a module."""
    operand: Literal["file", "nothing"] = "file"
    """What the first argument that is no option is."""
    reads_stdin: bool = True
    """Whether it runs its standard input when it was given nothing else."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SHELL = Syntax(
    code=_set("-c"), code_is_operand=True, stdin=_set("-s"),
    values=_set("-o +o -O +O --rcfile --init-file"),
)  # fmt: skip
PYTHON = Syntax(code=_set("-c"), values=_set("-W -X -Q --check-hash-based-pycs"), others=_set("-m"))
PERL = Syntax(code=_set("-e -E"), values=_set("-I"), attached=_set("-M -m -i -0 -F -x -D -C -V -d"))
RUBY = Syntax(
    code=_set("-e"), values=_set("-I -r -C -E --encoding"), attached=_set("-i -0 -F -x -T -W -K")
)
NODE = Syntax(
    code=_set("-e --eval -p --print -pe"),
    values=_set("-r --require --import --loader --experimental-loader -C --conditions --env-file"),
)
PHP = Syntax(code=_set("-r -B -R -E"), values=_set("-d -c -z -t -S"), files=_set("-f -F"))
LUA = Syntax(code=_set("-e"), values=_set("-l"))
TCL = Syntax(values=_set("-encoding"))
AWK = Syntax(
    files=_set("-f --file -E --exec"), values=_set("-F -v --assign"), operand="nothing",
    reads_stdin=False,
)  # fmt: skip
SYNTAXES: dict[bytes, Syntax] = {
    **dict.fromkeys((b"sh", b"bash", b"rbash", b"dash", b"ash", b"zsh"), SHELL),
    **dict.fromkeys((b"ksh", b"ksh93", b"mksh", b"pdksh", b"fish", b"csh", b"tcsh"), SHELL),
    **dict.fromkeys((b"python", b"pypy"), PYTHON),
    b"perl": PERL,
    b"ruby": RUBY,
    **dict.fromkeys((b"node", b"nodejs"), NODE),
    b"php": PHP,
    **dict.fromkeys((b"lua", b"luajit"), LUA),
    **dict.fromkeys((b"tclsh", b"wish", b"expect"), TCL),
    **dict.fromkeys((b"awk", b"gawk", b"mawk", b"original-awk"), AWK),
}
"""By the name of the program without its version."""


def script_of(record: Exec) -> Script | None:
    """Return the script that a program was started for; None when it is no interpreter's doing."""
    if _base(record.exe) == b"env":  # which runs the interpreter next
        return None
    if record.filename and record.filename in record.argv[1:3] and record.filename != record.exe:
        return Script("file", record.filename)  # by #!: the kernel put the script's name there
    syntax, arguments = _syntax(record)
    return _read(syntax, arguments) if syntax is not None else None


def _syntax(record: Exec) -> tuple[Syntax | None, Sequence[bytes]]:
    name = _base(record.exe or record.filename)
    arguments = record.argv[1:]
    if name in MULTIPLE:
        name = _base(record.argv[0]) if record.argv else name
        if name in MULTIPLE and arguments:
            name, arguments = arguments[0], arguments[1:]
    return _syntax_of(name), arguments


@lru_cache(maxsize=1024)
def _syntax_of(name: bytes) -> Syntax | None:
    return SYNTAXES.get(name) or SYNTAXES.get(_VERSION.sub(b"", name))


def _read(syntax: Syntax, arguments: Sequence[bytes]) -> Script | None:
    words = [argument.decode("utf-8", "surrogateescape") for argument in arguments]
    at, wants_code = 0, False
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            break
        if word == "-" or word[:1] not in ("-", "+") or len(word) == 1:
            at -= 1
            break
        option, value = _option(syntax, word)
        if option in syntax.others:
            return None
        if option in syntax.stdin:
            return Script("stdin")
        if option in syntax.code and syntax.code_is_operand:
            wants_code = True
            continue
        if option in syntax.code | syntax.files | syntax.values:
            if value is None:
                value = words[at] if at < len(words) else ""
                at += 1
            if option not in syntax.values:
                kind: Literal["file", "code"] = "code" if option in syntax.code else "file"
                return Script(kind, _bytes(value))
    return _operand(syntax, words[at:], wants_code=wants_code)


def _operand(syntax: Syntax, words: list[str], *, wants_code: bool) -> Script | None:
    if wants_code:
        return Script("code", _bytes(words[0])) if words else None
    if words and words[0] != "-":
        return Script("file", _bytes(words[0])) if syntax.operand == "file" else None
    return Script("stdin") if syntax.reads_stdin else None


def _option(syntax: Syntax, word: str) -> tuple[str, str | None]:
    """Return an option and its value if that is in the same word.

    Of several letters in one word the first counts that has a value or is a script.
    """
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    special = syntax.code | syntax.values | syntax.files | syntax.stdin | syntax.others
    if word in special:
        return word, None
    for place, letter in enumerate(word[1:], 1):
        option = word[0] + letter
        if option in syntax.attached:
            break
        if option in special:
            rest = word[place + 1 :]
            if option in syntax.code and syntax.code_is_operand:
                return option, None
            return option, rest or None
    return word, None


def _base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
