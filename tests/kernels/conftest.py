from tests.machines.conftest import silent

__all__ = ["silent"]
