"""The tasks that an agent has, with the numbers and names of KESL.

The number of KATAEDR_Prevention in KESL is not known; 25 is ours. So are the names of the types of
all three. Numbers are never used again for another task.
"""

from __future__ import annotations

import difflib

import msgspec

from deodar.tasks.errors import UnknownTask
from deodar.tasks.settings import (
    ApplicationSettings,
    BehaviorDetectionSettings,
    KataEdrSettings,
    Kind,
    PreventionSettings,
)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task. It can start only while the tasks that it `requires` are started."""

    id: int
    name: str
    type: str
    title: str
    settings: Kind
    requires: tuple[str, ...] = ()


BEHAVIOR_DETECTION = Task(
    id=20,
    name="Behavior_Detection",
    type="BehaviorDetection",
    title="Watches processes, files and connections of this host with the sensors",
    settings=BehaviorDetectionSettings,
)
KATAEDR = Task(
    id=24,
    name="KATAEDR",
    type="KATAEDR",
    title="Sends the telemetry to the EDR server, and takes its policy",
    settings=KataEdrSettings,
    requires=("Behavior_Detection",),
)
KATAEDR_PREVENTION = Task(
    id=25,
    name="KATAEDR_Prevention",
    type="KATAEDRPrevention",
    title="Execution prevention by rules of the EDR server (not part of this release)",
    settings=PreventionSettings,
    requires=("KATAEDR",),
)

TASKS: tuple[Task, ...] = (BEHAVIOR_DETECTION, KATAEDR, KATAEDR_PREVENTION)
"""All tasks, in the order in which they start."""

APPLICATION = "Application"
"""Stands in stores, exports and policies where a task's name does: the general settings."""

KINDS: dict[str, Kind] = {
    **{task.name: task.settings for task in TASKS},
    APPLICATION: ApplicationSettings,
}
"""Everything that has settings, by name."""

KESL_TASKS = frozenset(
    {
        "File_Threat_Protection",
        "Scan_My_Computer",
        "Scan_File",
        "Critical_Areas_Scan",
        "Update",
        "Rollback",
        "License",
        "Backup",
        "System_Integrity_Monitoring",
        "Firewall_Management",
        "Anti_Cryptor",
        "Web_Threat_Protection",
        "Device_Control",
        "Removable_Drives_Scan",
        "Network_Threat_Protection",
        "Container_Scan",
        "Custom_Container_Scan",
        "Application_Control",
        "Inventory_Scan",
        "Web_Control",
        "Standalone_Sandbox",
        "EDRO_Prevention",
        "KUMA",
        "KATANDR",
    }
)
"""Tasks of KESL that Deodar has not: their settings in an import are passed over."""


def find(text: str) -> Task:
    """Return the task of that number or name, in any case.

    Raises UnknownTask, which names the nearest one.
    """
    wanted = text.strip().casefold()
    for task in TASKS:
        if wanted in (task.name.casefold(), str(task.id)):
            return task
    raise UnknownTask(_unknown(text.strip()[:100], [task.name for task in TASKS]))


def find_name(text: str) -> str:
    """Return the name that has settings: a task's, by number or name, or APPLICATION.

    Raises UnknownTask.
    """
    if text.strip().casefold() == APPLICATION.casefold():
        return APPLICATION
    return find(text).name


def kesl_task(text: str) -> bool:
    """Whether it is the name of a task of KESL that Deodar has not."""
    return text.casefold() in {name.casefold() for name in KESL_TASKS}


def _unknown(text: str, names: list[str]) -> str:
    if kesl_task(text):
        return f"{text} is a task of KESL that Deodar has not; it has: {', '.join(names)}"
    lower = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(text.casefold(), lower, n=1)
    hint = f"did you mean {lower[near[0]]}?" if near else f"there are: {', '.join(names)}"
    return f"there is no task {text!r}; {hint}"
