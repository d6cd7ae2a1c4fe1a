from __future__ import annotations

import json

import httpx
from tests.siem.here import here

from deodar.siem import control
from deodar.tls.contexts import pinned_client


def test_a_token_opens_the_running_cores_api_until_it_is_revoked(core):
    where = ("--dir", core.home.path)
    made = json.loads(here("api-token", "create", "anna", *where, "--json").stdout)
    line = (core.child._output).read_text().splitlines()[0]
    url = json.loads(line)["api"]
    header = {"authorization": f"Bearer {made['secret']}"}
    context = pinned_client(core.home.read("authority.pem"))
    with httpx.Client(verify=context, base_url=url, headers=header) as client:
        assert isinstance(client.get("/api/v1/services").json(), list)
        assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "Deodar SIEM"
        assert client.post("/api/v1/services/x/reload").status_code == 403
        assert made["token"]["id"] in here("api-token", "list", *where).stdout
        here("api-token", "revoke", made["token"]["id"], *where)
        assert client.get("/api/v1/services").status_code == 401
    trail = here("audit", *where).stdout
    assert "api token revoked" in trail
    assert control.call(core.home.socket, "GET", "/status").json()
