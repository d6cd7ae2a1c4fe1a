"""The parts of the BPF sensor: each is one blob with its own programs, ring and records.

A part that the kernel refuses does not take the others with it, and a flood in one ring takes no
room in another. A new part is one file here, named in `PARTS`.
"""

from deodar.agent.sensors.parts.base import Part
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.files import FILES
from deodar.agent.sensors.parts.groups import GROUPS
from deodar.agent.sensors.parts.modules import MODULES
from deodar.agent.sensors.parts.pam import PAM

PARTS: tuple[Part, ...] = (CORE, CALLS, FILES, MODULES, PAM, GROUPS)
"""The first is the one without which there is no sensor: others' records name its processes."""

__all__ = ["PARTS", "Part"]
