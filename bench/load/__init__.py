"""What an agent costs under load, beside auditd with equal rules: ``make bench-agent``."""
