"""A text made of several fields, by a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.siem.pipeline.enrichment.base import Enricher, Kind, RuleSettings, Surroundings, target
from deodar.siem.pipeline.enrichment.go_template import Template
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key


class TemplateSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `template` makes of an event is put into `target`; an empty text changes nothing."""

    target: str
    template: str


class Filled(Enricher):
    """Answers with the filled template."""

    def __init__(self, settings: TemplateSettings) -> None:
        try:
            self._template = Template(settings.template)
        except ValueError as error:
            raise RuleError(f"template: {error}") from error
        super().__init__(self._template.fields, (target(settings.target),))

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return the texts."""
        return [(self._template.render(key) or None,) for key in keys]


def open_template(settings: TemplateSettings, _around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Filled(settings)


KIND = Kind("template", "a text made of fields", TemplateSettings, open_template, Filled)
