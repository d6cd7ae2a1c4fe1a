"""``deodar siem collector set|new-certificate|forget-server``: changing how a server is asked."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.kit.errors import SettingsError
from deodar.siem.cli_options import Dir, Json, print_json
from deodar.siem.collector import certificate as certificates
from deodar.siem.collector import edit
from deodar.siem.collector.home import open_home, settings_of
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.connectors.trusted import Trusted
from deodar.tls.certificates import fingerprint

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="The collector's name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_RESTART = "It takes effect when the collector is started again."


@app.command(name="set")
def set_(
    name: Name,
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE…", help="Settings of the connector, TOML or plain text."),
    ],
    path: Dir,
    yes: Yes = False,
) -> None:
    """Change settings of the connector; says before saving when history will come again."""
    home = open_home(path, name)
    change = edit.propose(home, assignments)
    if not change.differences:
        typer.echo("nothing is different; nothing was saved")
        return
    typer.echo("\n".join(change.differences))
    _confirm(change.warning, yes=yes)
    edit.save(home, change)
    typer.echo(f"saved. {_RESTART}")


@app.command(name="new-certificate")
def new_certificate(
    name: Name,
    path: Dir,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An own one: PEM, or a certificate.zip; else a new one."),
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Give the connector another certificate to show to its EDR server."""
    home = open_home(path, name)
    settings = _kata(home)
    if key is not None and certificate is None:
        raise SettingsError("--key: give --certificate too")
    pair = certificates.read(certificate, key) if certificate else certificates.make(name)
    digest = fingerprint(pair.certificate)
    if digest != fingerprint(home.read(settings.secret)):
        _confirm(edit.INITIAL.format(what="the certificate"), yes=yes, silent=as_json)
    certificates.replace(home, settings.secret, pair)
    if as_json:
        print_json({"name": name, "certificate_sha256": digest})
        return
    typer.echo(
        f"certificate (SHA-256)    {digest}\n"
        f"The former one is in {home.path / certificates.BEFORE}. {_RESTART} "
        "Then accept it on the EDR server."
    )


@app.command(name="forget-server")
def forget_server(
    name: Name,
    path: Dir,
    url: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Only this one; else all of them.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Forget the certificates of servers that were trusted on first use."""
    home = open_home(path, name)
    if not yes:
        typer.confirm("The certificate that is met next will be trusted. Go on?", abort=True)
    gone = Trusted(home).forget(f"https://{url}" if url and "://" not in url else url)
    typer.echo(f"forgotten: {', '.join(gone) or 'nobody was known'}. {_RESTART}")


def _kata(home: StateDirectory) -> KataEdrSettings:
    connector = settings_of(home).connector
    if not isinstance(connector, KataEdrSettings):
        raise SettingsError(f"{home.path.name} has the connector {connector.kind}, not kata/edr")
    return connector


def _confirm(warning: str, *, yes: bool, silent: bool = False) -> None:
    if warning and not silent:
        typer.echo(warning)
    if warning and not yes:
        typer.confirm("Go on?", abort=True)
