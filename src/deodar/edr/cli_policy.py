"""The commands ``deodar edr policy …``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from deodar.edr import output, policy_file
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.policies import DEFAULT, Policies, PolicyVersion, story
from deodar.tasks.exports import all_to_ini
from deodar.tasks.ini import flat

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="Settings that all agents must follow.")


Group = Annotated[str, typer.Option("--group", help="The policy of this group of endpoints.")]


class _Row(msgspec.Struct):
    version: int
    made_us: int
    user: str
    settings: str


_COLUMNS = {"version": "Version", "made_us": "Made", "user": "By", "settings": "Settings"}


@app.command("set")
def set_(
    directory: Directory,
    file: Annotated[str, typer.Argument(help="Settings, INI or JSON; - for standard input.")],
    group: Group = DEFAULT,
    as_json: Json = False,
) -> None:
    """Put the settings of a file into force; agents get them when they next synchronize."""
    data = _read(file)
    with _policies(directory) as policies:
        present = policies.current(group)
        before = present.settings if present else None
        settings, passed_over = policy_file.read(data, file, before)
        made = policies.set(settings, group)
    for name in passed_over:
        typer.echo(f"deodar: {file}: {name} has no function here and was passed over", err=True)
    if as_json:
        output.print_json(_shown(made, secrets=False))
    else:
        unchanged = present is not None and present.version == made.version
        output.print_line(f"{story(made)}{' (as before)' if unchanged else ''}")


@app.command()
def show(
    directory: Directory,
    version: Annotated[int, typer.Option(help="An earlier one; 0 for the present one.")] = 0,
    ini: Annotated[bool, typer.Option("--ini", help="Print a file for policy set.")] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Show the proxy's password too.")
    ] = False,
    group: Group = DEFAULT,
    effective: Annotated[
        bool, typer.Option("--effective", help="With what is taken from the default policy.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the policy in force, or an earlier version of it."""
    with _policies(directory) as policies:
        if effective:
            found = policies.effective(group)
        else:
            found = policies.at(version, group) if version else policies.current(group)
    if found is not None:
        found = _shown(found, secrets=secrets)
    if as_json:
        output.print_json(*([found] if found else []))
    elif ini:
        sys.stdout.write(all_to_ini((found.settings if found else None) or {}))
    else:
        output.print_line(_lines(found))


@app.command()
def clear(directory: Directory, group: Group = DEFAULT, as_json: Json = False) -> None:
    """End the policy; agents go back to the default one, or to the settings of their hosts."""
    with _policies(directory) as policies:
        made = policies.clear(group)
    if as_json:
        output.print_json(made)
    else:
        ended = "have no policy any more" if group == DEFAULT else "follow the default policy"
        output.print_line(f"{story(made)}: agents {ended}")


@app.command()
def history(directory: Directory, group: Group = DEFAULT, as_json: Json = False) -> None:
    """Show the last versions of the policy, who made them and what they set."""
    with _policies(directory) as policies:
        found = [_shown(version, secrets=False) for version in policies.history(group)]
    if as_json:
        output.print_json(*found)
    else:
        rows = [_Row(one.version, one.made_us, one.user, _summary(one)) for one in found]
        output.print_table(_COLUMNS, rows, "There has been no policy yet.")


@contextlib.contextmanager
def _policies(directory: Path) -> Iterator[Policies]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Policies(database)


def _read(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(policy_file.LARGEST + 1)
        with Path(file).open("rb") as opened:
            return opened.read(policy_file.LARGEST + 1)
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error


def _shown(policy: PolicyVersion, *, secrets: bool) -> PolicyVersion:
    if secrets or policy.settings is None:
        return policy
    return msgspec.structs.replace(policy, settings=policy_file.without_secrets(policy.settings))


def _summary(policy: PolicyVersion) -> str:
    return "cleared" if policy.settings is None else ", ".join(_settings(policy))


def _lines(policy: PolicyVersion | None) -> str:
    if policy is None:
        return "There is no policy; agents follow the settings of their hosts."
    head = f"Version {policy.version}, made {output.moment(policy.made_us)} by {policy.user}"
    body = _settings(policy) if policy.settings is not None else ["cleared: no policy"]
    return "\n".join([head, *body])


def _settings(policy: PolicyVersion) -> list[str]:
    settings = policy.settings or {}
    return [output.plain(f"{name}={value}") for name, value in flat(settings)]
