"""KEDRQL, the language of event filters in the KATA events API.

`parse` reads a filter once; `to_sql` turns it into a condition for the EDR server's log, and
`predicate` into a function on events. Both give the same answer for every event.
"""

from deodar.kedrql.canonical import canonical
from deodar.kedrql.errors import KedrqlError
from deodar.kedrql.expressions import And, Comparison, Expression, Not, Or, Pattern, fields
from deodar.kedrql.parser import parse
from deodar.kedrql.predicate import predicate
from deodar.kedrql.sql import Sql, to_sql

__all__ = [
    "And",
    "Comparison",
    "Expression",
    "KedrqlError",
    "Not",
    "Or",
    "Pattern",
    "Sql",
    "canonical",
    "fields",
    "parse",
    "predicate",
    "to_sql",
]
