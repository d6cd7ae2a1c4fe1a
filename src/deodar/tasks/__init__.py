"""The tasks of an agent and their settings, as the agent and the EDR server both see them."""
