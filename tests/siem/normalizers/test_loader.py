from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deodar.columnar import program
from deodar.events.builders import EventBuilder
from deodar.events.codec import encode, value
from deodar.events.vocabulary import VOCABULARY
from deodar.siem.normalizers import loader
from deodar.siem.normalizers.errors import NormalizerError
from deodar.siem.storage.model import MODEL

KEDR = loader.load("kedr")
PROGRAM = program.compile(KEDR)

# What the vendor and the community publish, and what is natural for the rest, written out once
# more by hand: field of the event -> field of the model, for every type and for single types.
COMMON = {
    "EventType": "DeviceEventCategory",
    "HostName": "DeviceHostName",
    "HostIp": "DeviceAddress",
    "Id": "ExternalID",
    "OsFamily": "DeviceExternalID",
    "OsName": "DeviceVersion",
    "OsVersion": "DeviceCustomString1",
    "FileName": "FileName",
    "FilePath": "FilePath",
    "FileSize": "FileSize",
    "FileFullName": "DestinationProcessName",
    "Md5": "FileHash",
    "Sha256": "DeviceCustomString2",
    "SystemPid": "DestinationProcessID",
    "UniquePid": "FlexString2",
    "ParentSystemPid": "SourceProcessID",
    "ParentStartupParameters": "SourceProcessName",
    "LogonSessionId": "DeviceCustomNumber2",
    "FileDescription": "DeviceCustomString3",
    "ProductVersion": "FileID",
}
COMMAND = {"StartupParameters": "DeviceCustomString4", "UniqueParentPid": "FlexString1"}
PARENT = {"ParentMd5": "DeviceCustomString5", "ParentSha256": "DeviceCustomString6"}
NETWORK = {
    "LocalIp": "SourceAddress",
    "LocalPort": "SourcePort",
    "RemoteIp": "DestinationAddress",
    "RemotePort": "DestinationPort",
    "RemoteHostName": "DestinationHostName",
}
DETECT = NETWORK | {
    "VerdictName": "EventOutcome",
    "DetectedName": "OldFileName",
    "DetectedMd5": "OldFileHash",
    "DetectedSha256": "DeviceCustomString6",
    "DetectedObjectType": "OldFileType",
    "DownloadUrl": "RequestUrl",
    "ObjectContent": "OldFileID",
    "UniqueParentPid": "FlexString1",
    "StartupParameters": "DeviceCustomString4",
}
REACHED = {
    "TargetSystemPid": "DeviceProcessID",
    "TargetFileFullName": "DeviceProcessName",
    "TargetUniquePid": "DeviceCustomString6",
    "TargetProcessUserName": "DestinationUserName",
    "AccessWay": "DeviceAction",
}


def old_file(prefix: str) -> dict[str, str]:
    return {
        f"{prefix}Name": "OldFileName",
        f"{prefix}Path": "OldFilePath",
        f"{prefix}Size": "OldFileSize",
        f"{prefix}Md5": "OldFileHash",
        f"{prefix}Sha256": "DeviceCustomString6",
    }


OWN: dict[str, dict[str, str]] = {
    "process": COMMAND | PARENT | {"LogonRemoteHost": "SourceAddress"},
    "process_terminate": COMMAND | PARENT,
    "process_fork": COMMAND | PARENT,
    "connection": COMMAND | PARENT | NETWORK | {"Direction": "DeviceDirection"},
    "dns": COMMAND
    | {
        "DnsQuery": "DestinationDnsDomain",
        "DnsType": "DeviceCustomString5",
        "DnsAnswers": "DeviceCustomString6",
        "DnsResponseCode": "EventOutcome",
    },
    "rawsocket": COMMAND | {"SocketFamily": "DeviceCustomString5", "Protocol": "FlexNumber1"},
    "process_access": COMMAND | REACHED,
    "process_tampering": COMMAND | REACHED,
    "memoryfile": COMMAND | PARENT | {"MemoryFileName": "OldFileName"},
    "bpf": COMMAND | {"BpfCommand": "DeviceAction", "BpfName": "DeviceCustomString6"},
    "rawdevice": COMMAND | PARENT | {"DeviceName": "OldFilePath", "DeviceMajor": "FlexNumber1"},
    "filechange_repeats": COMMAND | PARENT | {"DroppedPath": "OldFilePath"},
    "agent_start": {"AgentReason": "Reason"},
    "agent_stop": {"AgentReason": "Reason"},
    "portlisten": COMMAND | PARENT | {"LocalIp": "SourceAddress", "LocalPort": "SourcePort"},
    "filechange": COMMAND | old_file("Dropped") | {"FileOpenFlags": "DeviceCustomNumber1"},
    "applock": COMMAND | PARENT,
    "blockdocument": COMMAND | old_file("Blocked"),
    "module": COMMAND | old_file("Dll") | {"DllFileDescription": "DeviceCustomString5"},
    "driver": COMMAND
    | {
        "DriverName": "OldFileName",
        "DriverOperation": "DeviceAction",
        "LoaderFileFullName": "DeviceProcessName",
    },
    "registry": {
        "KeyName": "DeviceCustomString4",
        "ValueName": "DeviceCustomString5",
        "ValueData": "DeviceCustomString6",
        "PreviousValueData": "FlexString1",
    },
    "threatdetect": DETECT | {"ParentMd5": "DeviceCustomString5"},
    "threatprocessingresult": DETECT | {"ThreatStatus": "DeviceCustomString5"},
    "process_interpretated_file_run": COMMAND | old_file("InterpretedFile"),
    "process_console_interactive_input": {
        "InteractiveInputText": "DeviceCustomString4",
        "InputType": "DeviceCustomString5",
        "UniqueParentPid": "FlexString1",
    },
    "amsiscan": {"ObjectContent": "DeviceCustomString5"},
    "windowsevent": {
        "LinuxEventType": "Name",
        "LinuxOperationResult": "EventOutcome",
        "TargetUserName": "DestinationUserName",
        "TargetGroups": "DestinationUserPrivileges",
        "ChangedFields": "DeviceCustomString3",
        "ServiceName": "DestinationServiceName",
        "ServicePath": "OldFilePath",
        "ServiceCommand": "DeviceCustomString5",
        "LogonService": "DestinationServiceName",
        "LogonReason": "Reason",
        "ScheduleExpression": "DeviceCustomString6",
        "ScheduleCommand": "DeviceCustomString5",
        "ScheduleUser": "DestinationUserName",
        "ScheduleFile": "OldFilePath",
    },
    "telemetry_loss": {
        "LostReason": "Reason",
        "LostStage": "DeviceFacility",
        "LostCount": "FlexNumber1",
    },
    "agent_task_state": {
        "TaskName": "DeviceFacility",
        "TaskState": "DeviceAction",
        "TaskReason": "Reason",
    },
}
TIMES = {
    "process": {"Timestamp": "StartTime", "FileCreationTime": "FileCreateTime"},
    "filechange": {"Timestamp": "EndTime", "DroppedModificationTime": "OldFileModificationTime"},
    "telemetry_loss": {"LostFirstTime": "StartTime", "LostLastTime": "EndTime"},
    "connection": {"ReceivedTimestamp": "DeviceReceiptTime", "Timestamp": "EndTime"},
}
NAMES = {
    "process": "Process",
    "connection": "Connection",
    "filechange": "File change",
    "applock": "Process block",
    "blockdocument": "Document block",
    "module": "Module load",
    "driver": "Driver load",
    "portlisten": "Port listen",
    "registry": "Registry change",
    "threatdetect": "Threat detected",
    "threatprocessingresult": "Threat processing result",
    "process_interpretated_file_run": "Script run via shell",
    "process_console_interactive_input": "Command input via shell",
    "amsiscan": "Script check",
}


def normalize(*events: dict[str, Any]) -> list[dict[str, Any]]:
    outcome = PROGRAM.run([encode(event) for event in events])
    assert outcome.dead == []
    rows: list[dict[str, Any]] = outcome.batch.to_pylist()
    return rows


def extra(row: dict[str, Any]) -> dict[str, str]:
    return dict(row.get("Extra") or [])


def samples(name: str, count: int = 25) -> list[dict[str, Any]]:
    builder = EventBuilder(7, mix={name: 1}, complete=True)
    events = builder.events(count)
    return [e for e in events if name != "windowsevent" or "EventData" not in e]


@pytest.mark.parametrize("name", list(VOCABULARY.types))
def test_events_of_each_type_are_mapped_as_the_tables_say(name: str) -> None:
    events = samples(name)
    mapping = COMMON | OWN[name]
    seen: set[str] = set()
    for event, row in zip(events, normalize(*events), strict=True):
        for source, target in mapping.items():
            given = value(event, source)
            if given not in (None, ""):
                assert row[target] == given, (source, target)
                seen.add(source)
        for source, target in TIMES.get(name, {}).items():
            assert row[target] == event[source] // 1000
        assert (row["DeviceVendor"], row["DeviceProduct"]) == ("Kaspersky", "KATA")
        assert row.get("Name") == NAMES.get(name, row.get("Name"))
    assert set(OWN[name]) & set().union(*events) <= seen


@pytest.mark.parametrize("name", list(VOCABULARY.types))
def test_no_value_of_an_event_is_lost(name: str) -> None:
    """Each field is found again: in a column, by a dictionary's word, or in Extra."""
    paths = {path for path in KEDR.reads(name) if not KEDR.is_nested(path)}
    events = samples(name)
    for event, row in zip(events, normalize(*events), strict=True):
        texts = {str(cell) for key, cell in row.items() if key not in ("Extra", "Raw")}
        kept = extra(row)
        for field, given in event.items():
            if given == "" or field in kept:
                continue
            assert field in paths, field
            found = (
                str(given) in texts or str(int(given) // 1000 if _is_int(given) else "") in texts
            )
            assert found or field in LOOKED_UP | {"UserName"}, field


def _is_int(given: Any) -> bool:
    return isinstance(given, int)


LOOKED_UP = {
    "Protocol",
    "FileOperationType",
    "DroppedFileType",
    "FileType",
    "FileAttributes",
    "DllFileAttributes",
    "AccountType",
    "IntegrityLevel",
    "RegistryOperationType",
    "ObjectContentType",
}


def test_every_field_of_the_vocabulary_is_mapped_or_left_to_extra_on_purpose() -> None:
    read = {path.split(".0")[0] for name in KEDR.types for path in KEDR.reads(name)}
    unread = {f.name for f in VOCABULARY.fields.values() if f.name not in read}
    nested = {name for name in unread if name.startswith(("Ioa.", "System.", "EventData."))}
    assert unread - nested == IN_EXTRA


IN_EXTRA = {
    name
    for line in (
        "SchemaVersion IndexTimestamp OsType AgentId AgentVersion SensorTier AgentIp",
        "AgentKdbTimestamp AgentSwTimestamp FileLastChangeTime OriginalFileName",
        "SimilarDllPath FileDeleted FileDevice FileInode StartupParametersTruncated Command",
        "WorkingDirectory ParentFileName ParentFilePath RealUserName RealUid",
        "EffectiveUserName Uid EffectiveUid Gid EffectiveGid LoginUid LoginUserName Tty",
        "Capabilities ContainerId CgroupId MountNamespace PidNamespace ExitCode ExitSignal",
        "RunTimeUs DroppedFullName DroppedFileAttributes PreviousFileName PreviousFilePath",
        "DllFullName BlockedFullName InterpretedFileFullName ValueType PreviousValueType",
        "DetectMode RecordId DatabaseVersion SenderEmailAddress Environment TaskId Initiator",
        "FuzzyHash FileEntropy FileHeader DroppedFuzzyHash DroppedEntropy DroppedHeader",
        "DllDevice DllInode DllDeleted DroppedDevice DroppedInode PathFromProcess AlreadyRunning",
        "FilesCreated FilesModified FilesRenamed FilesAttributes FilesDeleted FileMemoryBacked",
        "InterpretedFileContent InterpretedFileContentTruncated DnsId AgentUnclean",
        "TargetStartupParameters TargetHome TargetShell ChangedFile ChangedMeanwhile",
        "ServiceManager ServiceGroup LogonRequestedBy",
        "ContainerName ContainerImage ContainerPid",
        "InteractiveInputTruncated InteractiveInputDropped",
    )
    for name in line.split()
}


def test_labels_dictionaries_and_domains() -> None:
    row = normalize(
        {
            "EventType": "filechange",
            "UserName": "CORP\\anna",
            "FileOperationType": 5,
            "DroppedFileType": 8,
            "FileType": 99,
            "AccountType": 1,
            "StartupParameters": "rm x",
            "DroppedSha256": "ab",
        }
    )[0]
    assert (row["SourceNtDomain"], row["SourceUserName"]) == ("CORP", "anna")
    assert (row["DeviceAction"], row["OldFileType"], row["FileType"]) == ("delete", "Elf", "99")
    assert row["SourceUserPrivileges"] == "administrator"
    assert row["DeviceCustomString4Label"] == "Command line"
    assert row["DeviceCustomString6Label"] == "Dropped file Sha256"
    assert "DeviceCustomString1Label" not in row


def test_detection_marks_go_where_both_tables_want_them() -> None:
    rule = {"Id": "7", "Name": "ioa_x", "Techniques": ["T1059", "T1"], "Tactics": ["TA2"]}
    ioa = {"Rules": [rule, {"Name": "second"}], "Severity": "high", "Confidence": "low"}
    rows = normalize(
        {"EventType": "process", "Ioa": ioa},
        {"EventType": "process", "IOATag": "old", "IOAImportance": "low"},
    )
    assert rows[0]["DeviceCustomIPv6Address2"] == rows[0]["DevicePayloadID"] == "ioa_x"
    assert rows[0]["DeviceCustomIPv6Address1"] == rows[0]["Severity"] == "high"
    assert (rows[0]["Tactic"], rows[0]["Technique"]) == ("TA2", "T1059")
    assert rows[0]["DeviceCustomIPv6Address2Label"] == "IOATag"
    assert '"Confidence":"low"' in extra(rows[0])["Ioa"]
    assert rows[1]["DeviceCustomIPv6Address2"] == "old"
    assert rows[1]["DeviceCustomIPv6Address1"] == "low"


def test_a_windows_log_record() -> None:
    data = {"SubjectUserName": {"value": "SYSTEM"}, "IpPort": {"value": "50123"}}
    event = {
        "EventType": "windowsevent",
        "Id": "uuid",
        "System": {"EventID": {"value": 4625}},
        "EventData": {"Data": data},
    }
    row = normalize(event)[0]
    assert (row["DeviceEventClassID"], row["ExternalID"]) == ("4625", "uuid")
    assert (row["SourceUserName"], row["SourcePort"]) == ("SYSTEM", 50123)
    assert "IpPort" in extra(row)["EventData"]


def test_aliases_of_type_names_are_mapped_and_keep_their_spelling() -> None:
    rows = normalize(
        {"EventType": "process_interpreted_file_run", "InterpretedFileName": "x.sh"},
        {"EventType": "blockeddocument", "BlockedName": "x.doc"},
        {"EventType": "amsi_scan", "ObjectContentType": 1},
    )
    assert [row["OldFileName"] for row in rows] == ["x.sh", "x.doc", ""]
    assert rows[2]["DeviceCustomString6"] == "text"
    assert rows[0]["DeviceEventCategory"] == "process_interpreted_file_run"
    assert rows[0]["Name"] == "Script run via shell"


def test_texts_are_cut_to_the_model_and_kept_whole() -> None:
    name = "Red Hat Enterprise Linux 8.10 (Ootpa)"
    row = normalize({"EventType": "process", "OsName": name})[0]
    assert row["DeviceVersion"] == name[: MODEL["DeviceVersion"].max_length]
    assert extra(row)["OsName"] == name


def test_an_event_that_did_not_fit_keeps_its_text() -> None:
    rows = normalize({"EventType": "process", "SystemPid": "many"}, {"EventType": "process"})
    assert [row["Raw"] for row in rows] == ['{"EventType":"process","SystemPid":"many"}', ""]
    assert extra(rows[0])["SystemPid"] == "many"


def test_all_sample_events_take_the_fast_path() -> None:
    events = [encode(event) for event in EventBuilder(23).events(3000)]
    outcome = PROGRAM.run(events)
    assert (outcome.tolerated, outcome.misfits, outcome.dead) == (0, 0, [])
    assert outcome.batch.num_rows == 3000


MINIMAL = """\
name: mine
sections:
  - when: [process]
    mapping:
      - {from: StartupParameters, to: Message, steps: [lower]}
"""


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "  - constants: {DeviceProduct: Mine}\n")
    spec = loader.load(path)
    assert [column.target for column in spec.columns] == ["Message", "DeviceProduct"]
    batch = program.compile(spec).run([b'{"EventType":"process","StartupParameters":"LS"}']).batch
    assert batch.column("Message").to_pylist() == ["ls"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("to: Message", "to: Massage", "line 5: the event model has no field Massage"),
        ("to: Message", "to: ID", "line 5: ID is set by the collector"),
        ("to: Message", "to: FlexString1Label", "line 5: FlexString1Label is set by its slot"),
        ("to: Message", "to: Message, label: x", "line 5: Message is no slot: it takes no label"),
        ("process]", "proces]", "line 3: there is no event type proces"),
        ("[lower]", "[lower, loewr]", "line 5: there is no step loewr"),
        ("[lower]", "[{lookup: none}]", "line 5: there is no dictionary none"),
        ("name: mine", "name: mine\nkeep_raw: often", "line 2: keep_raw is never, error or always"),
        ("name: mine", "name: mine\nkinds: {A: text}", "line 2: a kind is one of string"),
        ("from: StartupParameters", "from: A..B", "line 1: mine: column Message: the path 'A..B'"),
    ],
)
def test_an_error_names_file_line_and_remedy(old: str, new: str, message: str) -> None:
    with pytest.raises(NormalizerError) as error:
        loader.parse(MINIMAL.replace(old, new), "mine.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("mine.yaml, ")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NormalizerError, match="give a path, or one of these: kedr"):
        loader.load("nothing")
    (tmp_path / "bad").write_bytes(b"\xff")
    with pytest.raises(NormalizerError, match="cannot be read"):
        loader.load(tmp_path / "bad")
    assert loader.built_in() == ("kedr",)
    assert loader.document("kedr").title == "KEDR telemetry"
