from __future__ import annotations

import json

import jsonschema_rs

from deodar.edr.api import openapi
from deodar.edr.api.operations import operations
from deodar.edr.api.resources import RESOURCES


def test_every_operation_has_its_role_and_codes_in_the_document():
    document = json.loads(openapi.page())
    for one in operations(RESOURCES):
        told = document["paths"][one.path][one.method.lower()]
        assert told["x-required-role"] == one.role
        assert bool(told["security"]) == (one.role is not None)
        assert told["description"]
        assert {"401", "403", "422", "503"} <= set(told["responses"])


def test_each_operation_has_a_name_of_its_own():
    document = json.loads(openapi.page())
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))


def test_its_schemas_are_schemas():
    document = json.loads(openapi.page())
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
