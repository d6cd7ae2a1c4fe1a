from __future__ import annotations

from sqlalchemy import select

from deodar.edr.tables import audit


async def test_operations_work_on_the_servers_own_database(server, admin):
    await server.system().get()
    await admin.post("/external-systems/siem-1/reject")
    with server.database.read() as connection:
        row = connection.execute(select(audit).order_by(audit.c.number.desc())).first()
    assert (row.action, row.user, row.address) == ("external-system reject", "admin", "127.0.0.1")
