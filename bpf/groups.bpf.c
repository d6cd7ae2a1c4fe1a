// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `groups`: control groups that are made and removed, and that get their first process or
 * lose their last. It is how the kernel sees services start and stop, without asking systemd.
 *
 * Only the unified hierarchy (version 2), which systemd uses alone or beside version 1.
 */
#include "common.h"
#include "group_records.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A record per CPU to build a path in: the kernel has interrupts off where it tells of groups. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct group_record);
} draft SEC(".maps");

static __always_inline int tell(struct cgroup *group, const char *path, u16 operation)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct group_record *record;
	u32 zero = 0;
	u64 size;
	long length;

	if (group->root->hierarchy_id)
		return 0;
	record = bpf_map_lookup_elem(&draft, &zero);
	if (!record)
		return 0;
	length = bpf_probe_read_kernel_str(record->path, GROUP_PATH_BYTES, path);
	if (length <= 0)
		return 0;
	set_head(&record->head, RECORD_GROUP, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->group = group->kn->id;
	record->operation = operation;
	record->path_bytes = length;
	record->reserved = 0;
	size = (length - 1) & (GROUP_PATH_BYTES - 1);
	size += sizeof(*record) - GROUP_PATH_BYTES + 1;
	count(RECORD_GROUP, bpf_ringbuf_output(&ring, record, size, wake_flags(RECORD_GROUP)));
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(deodar_group_made, struct cgroup *group, const char *path)
{
	return tell(group, path, GROUP_MADE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(deodar_group_removed, struct cgroup *group, const char *path)
{
	return tell(group, path, GROUP_REMOVED);
}

SEC("tp_btf/cgroup_notify_populated")
int BPF_PROG(deodar_group_filled, struct cgroup *group, const char *path, int populated)
{
	return tell(group, path, populated ? GROUP_POPULATED : GROUP_EMPTIED);
}
