"""The commands ``deodar agent certificate server|client add|remove|show``."""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deodar.agent.cli_options import DEFAULT, Directory, Json, opened, print_json, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.certificate_files import Taken
    from deodar.kit.directory import StateDirectory

app = typer.Typer(no_args_is_help=True, help="Certificates for the connection to the EDR server.")
server_app = typer.Typer(no_args_is_help=True, help="The EDR server's, or its authority's.")
client_app = typer.Typer(no_args_is_help=True, help="The agent's own, with its key.")
app.add_typer(server_app, name="server")
app.add_typer(client_app, name="client")

SERVER, CLIENT = "server", "client"
MAXIMUM_PASSWORD = 4096


@server_app.command("add")
def add_server(
    file: Annotated[Path, typer.Argument(help="PEM or DER.")],
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Trust this server, or the servers of this authority, in place of the one before."""
    from deodar.agent.certificate_files import read_server  # noqa: PLC0415 - --help stays quick

    _add(SERVER, read_server(file), directory, as_json=as_json)


@client_app.command("add")
def add_client(
    file: Annotated[Path, typer.Argument(help="PFX, or PEM with certificate and key.")],
    password_file: Annotated[
        Path | None, typer.Option(help="The password's file; else it is asked for if needed.")
    ] = None,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show this certificate to the server, in place of the one before."""
    from deodar.agent.certificate_files import read_client  # noqa: PLC0415

    _add(CLIENT, read_client(file, _asker(password_file)), directory, as_json=as_json)


@client_app.command("renew")
def renew_client(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Let the running agent get another one from the EDR server now, for a new key."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415

    call(opened(directory), "certificate.renew")
    if as_json:
        print_json({"asked": True})
    else:
        say("the agent asks the server; see: deodar agent certificate client show")


@server_app.command("remove")
def remove_server(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Trust no server any more."""
    _remove(SERVER, directory, as_json=as_json)


@client_app.command("remove")
def remove_client(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Remove the agent's own certificate and its key."""
    _remove(CLIENT, directory, as_json=as_json)


@server_app.command("show")
def show_server(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show what is in the server's certificate."""
    _show(SERVER, directory, as_json=as_json)


@client_app.command("show")
def show_client(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show what is in the agent's own certificate."""
    _show(CLIENT, directory, as_json=as_json)


def _add(kind: str, taken: Taken, directory: Path, *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415

    from deodar.agent.cli_reach import call  # noqa: PLC0415

    facts = msgspec.to_builtins(taken.facts)
    call(opened(directory), "certificate.set", kind=kind, pem=taken.pem, facts=facts)
    for warning in taken.warnings:
        typer.echo(f"deodar: {warning}", err=True)
    _print(facts, as_json=as_json)


def _remove(kind: str, directory: Path, *, as_json: bool) -> None:
    from deodar.agent.cli_reach import call  # noqa: PLC0415

    if not call(opened(directory), "certificate.remove", kind=kind):
        raise _none(kind)
    if as_json:
        print_json({"removed": kind})
    else:
        say(f"the {kind} certificate was removed")


def _show(kind: str, directory: Path, *, as_json: bool) -> None:
    from deodar.agent.cli_reach import call  # noqa: PLC0415

    folder = opened(directory)
    facts = call(folder, "certificate.show", kind=kind)
    if facts is None:
        raise _none(kind)
    _print(facts if facts["subject"] else _read(kind, folder) or facts, as_json=as_json)


def _read(kind: str, folder: StateDirectory) -> dict[str, Any] | None:
    """Return what is in a certificate that was put there by hand, None if it cannot be read."""
    import msgspec  # noqa: PLC0415

    from deodar.agent.certificate_checks import facts_of_pem  # noqa: PLC0415
    from deodar.kit.errors import DeodarError  # noqa: PLC0415

    try:
        facts = facts_of_pem(kind, folder.read(f"{kind}.crt"))
    except DeodarError:
        return None
    return dict(msgspec.to_builtins(facts))


def _print(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    from deodar.agent.certificates import CertificateFacts  # noqa: PLC0415
    from deodar.agent.status_text import plain  # noqa: PLC0415

    left = CertificateFacts(**facts).days_left(time.time())
    end = "" if left is None else " (EXPIRED)" if left < 0 else f" ({left:.0f} days left)"
    issues = "the server's authority" if facts["is_authority"] else facts["kind"]
    rows = {
        "Kind": issues,
        "Subject": facts["subject"],
        "Issuer": facts["issuer"],
        "Serial": facts["serial"],
        "Valid from": facts["not_before"],
        "Valid until": facts["not_after"] + end,
        "Key": facts["key"],
        "SHA-256": facts["sha256"],
    }
    for name, value in rows.items():
        say(f"{name + ':':<13}{plain(value) or 'not known'}")


def _none(kind: str) -> Exception:
    from deodar.agent.errors import NoCertificate  # noqa: PLC0415

    return NoCertificate(
        f"there is no {kind} certificate; add one with: deodar agent certificate {kind} add FILE"
    )


def _asker(file: Path | None) -> Callable[[], str | None] | None:
    """Return what gives the password: a file once, or the terminal; None without either."""
    if file is not None:
        passwords = iter([_password(file)])
        return lambda: next(passwords, None)
    if not sys.stdin.isatty():
        return None
    import getpass  # noqa: PLC0415

    return lambda: getpass.getpass("Password of the certificate: ")


def _password(file: Path) -> str:
    from deodar.agent.errors import CertificateRefused  # noqa: PLC0415

    try:
        with file.open("rb") as found:
            return found.read(MAXIMUM_PASSWORD).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateRefused(f"cannot read the password in {file}: {error}") from error
