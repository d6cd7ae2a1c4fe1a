from __future__ import annotations

import dataclasses

import msgspec

from deodar.edr.nodes.files import DatabaseShelf
from deodar.edr.settings import Ingest, Stream
from deodar.edr.shelves import shelf_of
from deodar.edr.tasking.shelf import FolderShelf


def test_a_server_alone_has_a_folder_and_nodes_have_their_database(installation, database):
    assert isinstance(shelf_of(installation, database), FolderShelf)
    stream = Ingest(stream=Stream(urls=("nats://n:4222",)))
    settings = msgspec.structs.replace(installation.settings, ingest=stream)
    node = dataclasses.replace(installation, settings=settings)
    assert isinstance(shelf_of(node, database), DatabaseShelf)
