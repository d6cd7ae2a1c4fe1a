from __future__ import annotations

from deodar.kit.journal import Journal


def test_reading_starts_behind_a_number_and_goes_on_with_what_is_appended_meanwhile(tmp_path):
    with Journal(tmp_path, segment_bytes=100) as journal:
        journal.append_many([(b"", b"x" * 40)] * 5)
        reader = journal.read(after=3)
        assert next(reader).number == 4
        journal.append(b"", b"more")
        assert [record.number for record in reader] == [5, 6]


def test_a_reader_goes_on_when_its_segment_is_acknowledged(tmp_path):
    with Journal(tmp_path, segment_bytes=100) as journal:
        for _ in range(6):
            journal.append(b"", b"x" * 60)
        reader = journal.read()
        assert next(reader).number == 1
        journal.acknowledge(3)
        assert [record.number for record in reader] == [4, 5, 6]


def test_a_reader_goes_on_in_new_content(tmp_path):
    with Journal(tmp_path) as journal:
        for n in range(1, 7):
            journal.append(b"%d" % n, b"x" * 60)
        records = list(journal.read())
        journal.seal()
        reader = journal.read()
        assert next(reader).number == 1
        replacement = journal.prepare(1, [records[0], *(r._replace(body=b"") for r in records[3:])])
        assert journal.replace(replacement)
        assert [(record.number, record.body) for record in reader] == [(4, b""), (5, b""), (6, b"")]
        assert journal.damage == ()


def test_a_reader_that_lost_the_race_to_a_replacement_looks_again(tmp_path, monkeypatch):
    from deodar.kit.journal import reader as module

    with Journal(tmp_path) as journal:
        for n in range(1, 4):
            journal.append(b"%d" % n, b"x" * 60)
        records = list(journal.read())
        journal.seal()
        real = module.open_existing
        replaced = []

        def race(path):
            if not replaced:
                replaced.append(journal.replace(journal.prepare(1, records[2:])))
            return real(path)

        monkeypatch.setattr(module, "open_existing", race)
        assert [record.number for record in journal.read()] == [3]
        assert replaced == [True]
        assert journal.damage == ()
        assert not (tmp_path / "damaged").exists()
