from __future__ import annotations

from deodar.edr.api import app


async def test_the_server_serves_the_documentation_that_the_code_makes(nobody):
    served = (await nobody.get("/openapi.json")).json()
    made = app.make().openapi()
    assert served["paths"] == made["paths"]
    assert "/external-systems" in made["paths"]
