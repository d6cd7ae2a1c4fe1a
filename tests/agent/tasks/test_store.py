from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deodar.agent.tasks.store import Change, SettingsStore
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.tasks.check import flatten, merge
from deodar.tasks.declarations import KINDS
from deodar.tasks.errors import InsecurePath, InvalidSetting, PolicyRefused, UnknownTask
from deodar.tasks.exports import all_from_ini, all_to_ini
from deodar.tasks.ini import assignment, flat
from deodar.tasks.policy import Policy
from deodar.tasks.reference import declared
from deodar.tasks.settings import Endpoint, KataEdrSettings, TrustedProgram

Saw = Callable[[str, str], None]
ONE = {"ProgramPath": "/opt/a"}
FOLDER = {"FolderPath": "/srv/a"}

CASES: dict[str, tuple[Any, Any, Any]] = {
    "Behavior_Detection.UseTrustedPrograms": ("Yes", "No", "maybe"),
    "Behavior_Detection.TrustedPrograms": ([ONE], [], [ONE] * 1001),
    "Behavior_Detection.TrustedPrograms.ProgramPath": ("/opt/*/x", "/usr/**", "opt/x"),
    "Behavior_Detection.TrustedPrograms.ApplyToDescendants": ("Yes", "No", "2"),
    "Behavior_Detection.TrustedPrograms.ProgramDesc": ("the backup", "none", "x" * 1025),
    "Behavior_Detection.TrustedPrograms.UseTrustedProgram": ("No", "Yes", ""),
    "Behavior_Detection.ExcludedFolders": ([FOLDER], [], [FOLDER] * 201),
    "Behavior_Detection.ExcludedFolders.FolderPath": ("/srv/a", "/srv/b", "srv"),
    "Behavior_Detection.FileMonitoring.EventsPerSecond": ("0", "9", "100001"),
    "Behavior_Detection.FileMonitoring.Burst": ("0", "9", "-1"),
    "KATAEDR.UseClientPinnedCertificate": ("Yes", "No", "on"),
    "KATAEDR.SynchronizationPeriod": ("60", "1", "61"),
    "KATAEDR.ConnectionTimeout": ("0.5", "3600", "0"),
    "KATAEDR.RequestTimeout": ("2", "3600", "-1"),
    "KATAEDR.EnableTelemetry": ("No", "Yes", "0"),
    "KATAEDR.Endpoints": ([{"Port": 1}, {"Port": 2}], [{"Port": 3}], []),
    "KATAEDR.Endpoints.Address": ("2001:db8::1", "edr.example.org", "10.0.0.256"),
    "KATAEDR.Endpoints.Port": ("65535", "1", "65536"),
    "KATAEDR.EventTransferSettings.MaximumDataTransferTime": ("0.5", "86400", "86401"),
    "KATAEDR.EventTransferSettings.UseRequestCountLimits": ("No", "Yes", "never"),
    "KATAEDR.EventTransferSettings.MaximumNumberOfEventsInHour": ("1", "9000", "0"),
    "KATAEDR.EventTransferSettings.EventLimitExceededPercentage": ("5", "100", "4"),
    "Application.UseProxy": ("Yes", "No", "proxy"),
    "Application.ProxyServer": ("10.0.0.1:3128", "u:p@[::1]:1", "10.0.0.1"),
    "Application.UseMDR": ("Yes", "No", "3"),
    "Application.MaxEventsNumber": ("1", "10000000", "0"),
    "Application.UseSyslog": ("Yes", "No", "syslog"),
}
"""For each setting a value to set, one for a policy, and one that it cannot have."""


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


@pytest.fixture
def store(directory: StateDirectory) -> SettingsStore:
    return SettingsStore(directory)


def _policy(version: int = 1, **settings: Any) -> Policy:
    return Policy(version=version, settings=settings)


def _partial(name: str, value: Any) -> tuple[str, dict[str, Any]]:
    """Return the task and what a command line or a whole list would give."""
    task, _, dotted = name.partition(".")
    if not isinstance(value, str):
        return task, {dotted: value}
    word = re.sub(r"^(Endpoints|TrustedPrograms|ExcludedFolders)\.", r"\1.item_0000.", dotted)
    words = [f"{word}={value}"]
    if dotted.startswith("TrustedPrograms.") and "ProgramPath" not in dotted:
        words.append("TrustedPrograms.item_0000.ProgramPath=/opt/a")
    return task, assignment(words, KINDS[task])


def _as_list(partial: dict[str, Any]) -> dict[str, Any]:
    return merge({}, partial)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.setting(name)) for name in declared()]
)
def test_a_setting_is_kept_bounded_and_held_by_a_policy(
    directory: StateDirectory, name: str, saw: Saw
) -> None:
    ours, theirs, wrong = CASES[name]
    store = SettingsStore(directory)
    task, partial = _partial(name, ours)
    assert store.change(task, partial).changed
    kept = store.values(task, secrets=True)
    assert SettingsStore(directory).values(task, secrets=True) == kept

    with pytest.raises(InvalidSetting) as refused:
        store.change(*_partial(name, wrong))
    assert name.rpartition(".")[2] in str(refused.value)
    assert store.values(task, secrets=True) == kept

    store.apply_policy(_policy(**{task: _as_list(_partial(name, theirs)[1])}))
    held = store.values(task, secrets=True)
    assert held != kept
    with pytest.raises(PolicyRefused, match="version 1"):
        store.change(task, partial)
    store.apply_policy(None)
    assert store.values(task, secrets=True) == kept
    lists = not isinstance(ours, str)
    what = f"{len(ours)} of them were" if lists else f"{ours} was"
    against = f"{len(wrong)} were" if lists else f"{wrong[:20] or 'an empty text'} was"
    saw(name, f"{what} kept over a restart; {against} refused; a policy stood above it")


def test_every_setting_has_such_a_case() -> None:
    assert list(CASES) == list(declared())


def test_settings_have_their_defaults_at_first(store: SettingsStore) -> None:
    assert store.of("24") == store.kataedr == KataEdrSettings()
    assert store.behavior == store.of("behavior_detection")
    assert store.application == store.of("application")
    assert store.policy is None
    assert store.problems == []
    with pytest.raises(UnknownTask):
        store.of("KATAED")


def test_a_change_tells_what_changed_and_what_was_passed_over(store: SettingsStore) -> None:
    change = store.change(
        "kataedr", {"requesttimeout": "2", "EnableTelemetry": True, "Mode": "EDRKATA"}
    )
    assert change == Change(["RequestTimeout"], ["Mode"])
    assert store.kataedr.request_timeout == 2


def test_single_servers_are_changed_added_and_taken_out(store: SettingsStore) -> None:
    for words in (
        ["Address=10.0.0.1", "Endpoints.item_0001.Address=10.0.0.2"],
        ["Endpoints.item_0002.Address=10.0.0.3", "Endpoints.item_0001.Port=8443"],
        ["Endpoints.item_0000="],
    ):
        store.change("KATAEDR", assignment(words, KataEdrSettings))
    assert store.kataedr.endpoints == (
        Endpoint(address="10.0.0.2", port=8443),
        Endpoint(address="10.0.0.3"),
    )
    with pytest.raises(InvalidSetting, match="there is no item_0007; the next one is item_0002"):
        store.change("KATAEDR", assignment(["Endpoints.item_0007.Port=1"], KataEdrSettings))
    words = ["Endpoints.item_0000=", "Endpoints.item_0001="]
    with pytest.raises(InvalidSetting, match="1 to 16 sections are expected"):
        store.change("KATAEDR", assignment(words, KataEdrSettings))


def test_only_what_was_set_is_written(store: SettingsStore, directory: StateDirectory) -> None:
    store.change("KATAEDR", {"MaximumDataTransferTime": 5})
    file = directory.path / "settings/KATAEDR.ini"
    assert file.read_text() == "[EventTransferSettings]\nMaximumDataTransferTime=5\n"
    store.reset("KATAEDR")
    assert not file.exists()
    assert store.kataedr == KataEdrSettings()


def test_a_refused_change_changes_nothing(store: SettingsStore, directory: StateDirectory) -> None:
    with pytest.raises(InvalidSetting):
        store.change("KATAEDR", {"RequestTimeout": 2, "ConnectionTimeout": 0})
    assert store.kataedr == KataEdrSettings()
    assert not directory.has("settings")


def test_a_policy_locks_what_it_names(store: SettingsStore, directory: StateDirectory) -> None:
    store.change("KATAEDR", {"RequestTimeout": 2})
    policy = _policy(KATAEDR={"Endpoints": [{"Address": "10.0.0.9"}], "RequestTimeout": 4})
    assert store.apply_policy(policy) == ["KATAEDR.RequestTimeout", "KATAEDR.Endpoints"]
    with pytest.raises(
        PolicyRefused, match=r"policy \(version 1\) holds Endpoints; see: deodar"
    ) as caught:
        store.change("KATAEDR", assignment(["Port=1"], KataEdrSettings))
    assert caught.value.exit_code == 68
    assert store.change("KATAEDR", {"ConnectionTimeout": 3}).changed == ["ConnectionTimeout"]
    again = SettingsStore(directory)
    assert again.policy == policy
    assert again.kataedr == store.kataedr
    assert again.kataedr.endpoints == (Endpoint(address="10.0.0.9"),)
    assert sorted(again.apply_policy(None)) == ["KATAEDR.Endpoints", "KATAEDR.RequestTimeout"]
    assert again.kataedr.request_timeout == 2
    assert again.kataedr.connection_timeout == 3


def test_whole_settings_may_be_set_where_they_do_not_touch_the_policy(store: SettingsStore) -> None:
    store.apply_policy(_policy(KATAEDR={"RequestTimeout": 4}))
    whole = store.values("KATAEDR") | {"ConnectionTimeout": 5}
    assert store.change("KATAEDR", whole).changed == ["ConnectionTimeout"]
    store.apply_policy(None)
    assert store.kataedr.request_timeout == 10


def test_a_wrong_policy_leaves_the_old_one(store: SettingsStore) -> None:
    policy = _policy(KATAEDR={"RequestTimeout": 4})
    store.apply_policy(policy)
    with pytest.raises(InvalidSetting, match=r"KATAEDR\.RequestTimeout=0"):
        store.apply_policy(_policy(2, KATAEDR={"RequestTimeout": 0}))
    assert store.policy == policy
    assert store.kataedr.request_timeout == 4


def test_a_policy_is_in_force_even_when_it_cannot_be_kept(
    store: SettingsStore, directory: StateDirectory
) -> None:
    directory.path.chmod(0o770)
    store.apply_policy(_policy(KATAEDR={"RequestTimeout": 4}))
    assert store.kataedr.request_timeout == 4
    assert not directory.has("policy.json")


def test_resetting_leaves_what_the_policy_holds(store: SettingsStore) -> None:
    store.change("KATAEDR", {"ConnectionTimeout": 3})
    store.apply_policy(_policy(KATAEDR={"RequestTimeout": 4}))
    assert store.reset("24").changed == ["ConnectionTimeout"]
    assert store.kataedr.request_timeout == 4


def test_a_password_is_hidden_and_kept(store: SettingsStore) -> None:
    store.change("Application", {"ProxyServer": "ann:secret@proxy:3128"})
    assert store.values("Application")["ProxyServer"] == "ann:***@proxy:3128"
    assert "secret" not in json.dumps(store.export())
    assert store.export(secrets=True)["Application"]["ProxyServer"] == "ann:secret@proxy:3128"
    store.change("Application", {"ProxyServer": "ann:***@other:1", "UseProxy": True})
    assert store.application.proxy_server == "ann:secret@other:1"
    with pytest.raises(InvalidSetting, match="give the password itself"):
        store.change("Application", {"ProxyServer": "bob:***@other:1"})


def test_everything_is_exported_and_imported(store: SettingsStore, tmp_path: Path) -> None:
    store.change("KATAEDR", {"Endpoints": [{"Address": "a"}, {"Port": 1}]})
    store.change("Behavior_Detection", {"TrustedPrograms": [ONE, {"ProgramPath": "/b c/**"}]})
    text = all_to_ini(store.export(secrets=True))
    other = SettingsStore(StateDirectory.create(tmp_path / "other"))
    change = other.import_(all_from_ini(text, "x.ini"))
    assert change == Change(["Behavior_Detection.TrustedPrograms", "KATAEDR.Endpoints"], [])
    assert other.export(secrets=True) == store.export(secrets=True)
    assert other.behavior.trusted_programs[1] == TrustedProgram(program_path="/b c/**")


def test_an_import_is_taken_whole_or_not_at_all(store: SettingsStore) -> None:
    everything = {"KATAEDR": {"RequestTimeout": 2}, "Application": {"MaxEventsNumber": 0}}
    with pytest.raises(InvalidSetting, match="MaxEventsNumber=0"):
        store.import_(everything)
    assert store.kataedr == KataEdrSettings()
    with pytest.raises(UnknownTask):
        store.import_({"KATAEDR": {"RequestTimeout": 2}, "Nothing": {}})
    store.apply_policy(_policy(KATAEDR={"RequestTimeout": 4}))
    with pytest.raises(PolicyRefused, match=r"holds KATAEDR\.RequestTimeout"):
        store.import_({"Application": {"UseMDR": True}, "KATAEDR": {"RequestTimeout": 2}})
    assert not store.application.use_mdr


def test_an_import_passes_over_what_only_kesl_has(store: SettingsStore) -> None:
    text = "[Update]\nx=1\n[KATAEDR]\nMode=EDRKATA\nRequestTimeout=2\n[Application]\nUseKSN=No\n"
    assert store.import_(all_from_ini(text, "")) == Change(
        ["KATAEDR.RequestTimeout"], ["Update", "KATAEDR.Mode", "Application.UseKSN"]
    )


def test_who_listens_hears_of_changes_in_their_order(store: SettingsStore) -> None:
    heard: list[tuple[str, list[str], str]] = []
    values: list[float] = []

    def fail(*_: Any) -> None:
        raise ValueError("not my day")

    def listen(name: str, changed: list[str], initiator: str) -> None:
        heard.append((name, changed, initiator))
        values.append(store.kataedr.request_timeout)

    store.subscribe(fail)
    store.subscribe(listen)
    store.change("KATAEDR", {"RequestTimeout": 2})
    store.change("KATAEDR", {"RequestTimeout": 2})  # nothing to tell
    store.apply_policy(_policy(KATAEDR={"RequestTimeout": 3}, Application={"UseMDR": True}))
    store.import_({"KATAEDR": {"ConnectionTimeout": 1}}, initiator="Product")
    assert heard == [
        ("KATAEDR", ["RequestTimeout"], "User"),
        ("KATAEDR", ["RequestTimeout"], "Policy"),
        ("Application", ["UseMDR"], "Policy"),
        ("KATAEDR", ["ConnectionTimeout"], "Product"),
    ]
    assert values == [2, 3, 3, 3]


def test_a_damaged_file_gives_defaults_and_a_problem(directory: StateDirectory) -> None:
    (directory.path / "settings").mkdir(mode=0o700)
    directory.write_secret("settings/KATAEDR.ini", b"RequestTimeout=2\nPort=0\n")
    directory.write_secret("policy.json", b"{")
    store = SettingsStore(directory)
    assert store.kataedr == KataEdrSettings()
    assert len(store.problems) == 2
    assert "KATAEDR.ini, line 2: Endpoints.item_0000.Port=0" in store.problems[0]
    store.reset("KATAEDR")
    store.apply_policy(None)
    assert SettingsStore(directory).problems == []


def test_settings_that_others_may_write_are_not_changed(
    store: SettingsStore, directory: StateDirectory
) -> None:
    directory.path.chmod(0o770)
    with pytest.raises(InsecurePath) as caught:
        store.change("KATAEDR", {"RequestTimeout": 2})
    assert caught.value.exit_code == 76
    assert store.kataedr == KataEdrSettings()
    assert "may be written by others" in SettingsStore(directory).problems[0]


def test_a_disk_that_refuses_changes_nothing(
    store: SettingsStore, directory: StateDirectory
) -> None:
    (directory.path / "settings").write_text("")  # no folder can be made
    with pytest.raises(StateError, match="the settings were not changed"):
        store.change("KATAEDR", {"RequestTimeout": 2})
    assert store.kataedr == KataEdrSettings()


def test_threads_change_and_read_at_once(store: SettingsStore, directory: StateDirectory) -> None:
    names = ["ConnectionTimeout", "RequestTimeout", "SynchronizationPeriod"]
    heard: list[str] = []
    store.subscribe(lambda _name, changed, _initiator: heard.extend(changed))
    done = threading.Event()
    torn: list[Any] = []

    def change(name: str) -> None:
        for number in range(11, 31):
            store.change("KATAEDR", {name: number})

    def read() -> None:
        while not done.is_set():
            settings = store.kataedr
            if not (settings.request_timeout >= 10 and settings.endpoints):
                torn.append(settings)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=change, args=[name]) for name in names]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert torn == []
    assert sorted(heard) == sorted(itertools.chain.from_iterable([name] * 20 for name in names))
    assert flatten(SettingsStore(directory).values("KATAEDR"))["RequestTimeout"] == 30


def test_single_settings_are_shown_by_name(store: SettingsStore) -> None:
    assert ("EventTransferSettings.MaximumDataTransferTime", "30") in flat(store.values("KATAEDR"))
