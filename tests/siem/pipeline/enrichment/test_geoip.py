from __future__ import annotations

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.frame import frame_of

PLACE = {
    "country": {"iso_code": "AT", "names": {"en": "Austria", "de": "Österreich"}},
    "city": {"names": {"en": "Vienna"}},
    "subdivisions": [{"names": {"en": "Vienna (state)"}}],
    "location": {"latitude": 48.25, "longitude": 16.5},
}
OPERATOR = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a database of places, one of operators, and one for IPv4 alone."""
    folder = tmp_path_factory.mktemp("geoip")
    for name, version, networks in (
        ("places.mmdb", 6, {"::ffff:192.0.2.0/120": PLACE, "2001:db8::/32": PLACE}),
        ("operators.mmdb", 4, {"192.0.2.0/24": OPERATOR}),
    ):
        writer = MMDBWriter(version, "Test", float_type="f64", ipv4_compatible=version == 6)
        for network, record in networks.items():
            writer.insert_network(
                IPSet([network.replace("::ffff:", "").replace("/120", "/24")]), record
            )
        writer.to_db_file(str(folder / name))
    return folder


def located(home, *addresses, **settings):
    events = frame_of([{"SourceAddress": text, "DeviceAddress": text} for text in addresses])
    return enriched("geoip", home=home, events=events, **{"file": "places.mmdb", **settings})


def test_the_fields_beside_the_address_are_filled(home):
    found, written, errors = located(home, "192.0.2.7", "2001:db8::1", "198.51.100.1", "host", "")
    assert column(found, "SourceCountry") == ["Austria", "Austria", "", "", ""]
    assert column(found, "SourceCity") == ["Vienna", "Vienna", "", "", ""]
    assert column(found, "SourceRegion")[0] == "Vienna (state)"
    assert column(found, "SourceLatitude") == [48.25, 48.25, 0.0, 0.0, 0.0]
    assert column(found, "SourceLongitude")[0] == 16.5
    assert (written.tolist(), errors) == ([True, True, False, False, False], 0)


def test_parts_language_and_fields_are_chosen(home):
    targets = {"country": "DeviceCustomString1", "country_code": "Extra.Code", "city": "Reason"}
    found, _written, _errors = located(home, "192.0.2.7", language="de", targets=targets)
    assert column(found, "DeviceCustomString1") == ["Österreich"]
    assert column(found, "Extra.Code") == ["AT"]
    assert column(found, "Reason") == ["Vienna"]
    found, _written, _errors = located(home, "192.0.2.7", field="DeviceAddress")
    assert column(found, "DeviceCountry") == ["Austria"]


def test_a_database_of_operators_for_ipv4_knows_no_ipv6_address(home):
    found, _written, errors = located(
        home,
        "192.0.2.7",
        "2001:db8::1",
        file="operators.mmdb",
        targets={"asn": "DeviceCustomNumber1", "organization": "Reason"},
    )
    assert column(found, "DeviceCustomNumber1") == [64500, 0]
    assert column(found, "Reason") == ["Example", ""]
    assert errors == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"file": "absent.mmdb"}, "absent.mmdb is no database of addresses"),
        ({"file": "text.mmdb"}, "text.mmdb is no database of addresses"),
        ({"field": "SourcePort"}, "holds no text"),
        ({"field": "Name"}, "targets: name the fields, for none belong to Name"),
        ({"targets": {"street": "Name"}}, "street"),
        ({"targets": {"city": "Nam"}}, r"targets\.city: .*did you mean Name"),
    ],
)
def test_what_cannot_be_used_is_told(home, settings, reason):
    (home / "text.mmdb").write_text("no database")
    with pytest.raises(RuleError, match=reason):
        located(home, "192.0.2.7", **settings)
