"""The management API, ``/api/v1``: what administrators, the console and scripts use.

One file a resource in `resources`, found through the list there. A request's way: `gate` (who
asks, how much may be sent), the role that the operation requires (`access`), the resource, and
`problems` for what goes wrong.
"""
