"""What enrolment leaves in the agent's folder, and how the running agent finds it again.

``agent.toml`` is the agent's name and tuning; the certificates are told of in
`deodar.agent.certificates`; the server's address stands in the settings of the task KATAEDR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.errors import NotEnrolledError
from deodar.agent.settings import AgentSettings
from deodar.kit import settings as toml

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

SETTINGS = "agent.toml"


def load(directory: StateDirectory) -> AgentSettings:
    """Return an enrolled agent's settings.

    Certificates may be missing: the agent watches all the same, and its status says what to do.
    Raises NotEnrolledError when the folder holds no agent, SettingsError for a wrong setting.
    """
    if not directory.has(SETTINGS):
        raise NotEnrolledError(
            f"{directory.path} holds no enrolled agent ({SETTINGS} is missing); "
            f"enrol it with: deodar agent enroll --dir {directory.path} TOKEN"
        )
    return toml.load(directory.path / SETTINGS, AgentSettings)
