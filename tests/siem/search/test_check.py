from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.errors import SearchRefused
from deodar.siem.search.check import check_select

FORBIDDEN = [
    "",
    "select 1",
    "select 1; select 2",
    "select * from events; drop table events",
    "drop table events",
    "insert into events select * from events",
    "alter table events delete where 1",
    "truncate table events",
    "create table x as select * from events",
    "optimize table events",
    "kill query where 1",
    "set readonly = 0",
    "use system",
    "system shutdown",
    "grant all on *.* to x",
    "attach table x",
    "backup table events to Disk('a', 'b')",
    "show tables",
    "describe events",
    "explain select * from events",
    "select * from system.tables",
    "select * from `system`.`one`",
    "/* x */ select * from system.one",
    "select * from deodar_migrations",
    "select * from events, deodar_migrations",
    "select * from events join system.users using (ID)",
    "select * from (select * from system.one)",
    "select (select count() from system.parts) from events",
    "select * from events where ID in (select name from system.tables)",
    "select * from events where ID in system.tables",
    "select * from events where ID in tables",
    "select * from events where ID in (tables)",
    "select * from events where ID global in tables",
    "select globalIn(1, tables) from events",
    "select * from events union all select * from system.one",
    "select * from events except select * from events",
    "with deodar_migrations as (select * from deodar_migrations) select * from events",
    "with q as (select 1 from system.one) select * from events",
    "with recursive q as (select 1 from events) select * from q",
    "select * from events, (with q as (select 1 from events) select * from q)",
    "select * from file('/etc/passwd')",
    "select * from url('http://127.0.0.1/', CSV, 'a String')",
    "select * from numbers(10)",
    "select * from merge('default', '.*')",
    "select * from remote('127.0.0.1', system.one)",
    "select * from view(select 1)",
    "select * from events, executable('x', CSV, 'a String')",
    "select file('/etc/passwd') from events",
    "select sleep(3) from events",
    "select sleepEachRow(1) from events",
    "select throwIf(1) from events",
    "select dictGet('a', 'b', 1) from events",
    "select joinGet('a', 'b', 1) from events",
    "select currentUser(), hostName() from events",
    "select currentDatabase() from events",
    "select getSetting('readonly') from events",
    "select * from events into outfile '/tmp/x'",
    "select * from events format JSON",
    "select * from events settings readonly = 0",
    "select {name:String} from events",
    "(select * from events)",
    "select * from events where",
    "select \0 from events",
    "select " + "(" * 5000 + "1" + ")" * 5000 + " from events",
]

ALLOWED = [
    "select ID, Timestamp from events",
    "SELECT count() FROM `events` WHERE Timestamp > 5 AND Name ILIKE '%a%'",
    "select Name, count() as c from events group by Name having c > 0 order by c desc limit 5",
    "select toHour(fromUnixTimestamp64Milli(Timestamp,'Europe/Moscow')) h from events group by h",
    "select count() from events where inSubnet(SourceAddress, '10.0.0.0/8')",
    "select count() from events where not inSubnet(Name, '::/0')",
    r"select count() from events where match(DeviceCustomString4, '^/bin/\\w+')",
    "with x as (select Name from events) select count() from x",
    "with x as (select Name n from events), y as (select n from x) select count() from y",
    "select 1 as a from events union all select 2 as a from events",
    "select distinct Name from events where Name in ('a', 'b') limit 1 by Name",
    "select quantile(0.9)(Timestamp), uniqExact(Name), countIf(Name = 'it''s') from events",
    "select Extra['UserName'], mapKeys(Extra) from events where has(mapKeys(Extra), 'b')",
    "select toStartOfInterval(BatchTime, INTERVAL 1 minute) m, count() from events group by m",
    "select max(Timestamp) - min(Timestamp), avg(Type), sum(Type) from events",
    "select ID from events where Timestamp between 1 and 2 order by Timestamp limit 3 offset 1",
    "select ID from events where ID in (select ID from events where Type = 1)",
    "select if(Name = '', 'none', Name) as n, lower(Name), splitByChar(',', Name) from events",
    "select e.ID from events as e inner join events as f on e.ID = f.ID limit 1",
    "select * from events limit 1",
]


@pytest.mark.parametrize("sql", FORBIDDEN, ids=lambda sql: sql[:60].replace("\0", "NUL"))
def test_anything_but_one_select_on_events_is_refused(sql):
    with pytest.raises(SearchRefused) as caught:
        check_select(sql)
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize("sql", ALLOWED, ids=lambda sql: sql[:60])
def test_searches_are_carried_over_in_words_that_the_store_knows(core, sql):
    assert isinstance(core.search(sql), list)


@pytest.mark.parametrize(
    ("sql", "ending"),
    [
        ("select ID from events", "LIMIT 250"),
        ("select ID from events limit 3", "LIMIT 3"),
        ("select ID from events limit 1 by ID", "LIMIT 1 BY ID) LIMIT 250"),
        ("select ID from events union all select ID from events", "LIMIT 250"),
    ],
)
def test_rows_are_limited_unless_the_statement_does(sql, ending):
    assert check_select(sql).endswith(ending)


def test_a_given_limit_replaces_the_default():
    assert check_select("select ID from events", limit=7).endswith("LIMIT 7")


def test_the_error_says_what_is_not_allowed():
    with pytest.raises(SearchRefused, match=r"system\.tables"):
        check_select("select * from system.tables")
    with pytest.raises(SearchRefused, match="SETTINGS"):
        check_select("select * from events settings readonly = 0")
    with pytest.raises(SearchRefused, match="Line 1, Col"):
        check_select("select * from events where (a = 1")


def test_comments_do_not_reach_the_store():
    assert "--" not in check_select("select ID -- drop\n from events /* x */")


@given(
    st.text() | st.text(alphabet="select *from(),;'\"`events{}:=<>0/-\n\\").map("select ".__add__)
)
def test_any_text_is_refused_or_reads_events(text):
    try:
        statement = check_select(text)
    except SearchRefused:
        return
    assert "events" in statement
    assert statement.startswith(("SELECT", "WITH"))
