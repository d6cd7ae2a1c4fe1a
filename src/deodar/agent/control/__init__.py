"""The local control socket: how the command line speaks with the running agent."""
