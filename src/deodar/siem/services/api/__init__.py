"""The core's REST API: resource sets, services, the audit trail.

`app` puts it together; `gate` finds out who asks; `resources` has the operations, one file a
resource.
"""
