/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Process numbers and their namespaces, without the helpers for it: those came after Linux 6.1. */
#ifndef DEODAR_PIDS_H
#define DEODAR_PIDS_H

#include "common.h"

#define INTERNAL_ENTRY 2UL /* a slot of the kernel's radix tree with this bit is another node */
#define TREE_LEVELS 6 /* of 6 bits each; process numbers have 22 */

/* The namespace in which a task's own numbers count. */
static __always_inline struct pid_namespace *pid_namespace_of(struct task_struct *task)
{
	u32 level = task->thread_pid->level & 63; /* the kernel nests 32 deep */
	void *pid = BPF_CORE_READ(task, thread_pid); /* a plain number: typed pointers do not add */
	struct pid_namespace *ns;

	bpf_core_read(&ns, sizeof(ns),
		      pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, ns));
	return ns;
}

static __always_inline bool is_node(const void *entry)
{
	return ((unsigned long)entry & 3) == INTERNAL_ENTRY;
}

/* Look a number up in a namespace, as find_pid_ns of the kernel does; NULL for none. */
static __always_inline struct pid *pid_in(struct pid_namespace *ns, u32 number)
{
	const u32 slots = bpf_core_field_size(struct xa_node, slots) / sizeof(void *);
	u32 at = number - BPF_CORE_READ(ns, idr.idr_base);
	void *entry = BPF_CORE_READ(ns, idr.idr_rt.xa_head);

	if (!is_node(entry))
		return at ? 0 : entry;
#pragma unroll
	for (int level = 0; level < TREE_LEVELS; level++) {
		struct xa_node *node = (void *)((unsigned long)entry & ~INTERNAL_ENTRY);
		u32 shift = BPF_CORE_READ(node, shift) & 31;

		if (!level && at >> shift >= slots)
			return 0;
		entry = 0;
		bpf_probe_read_kernel(&entry, sizeof(entry),
				      (void *)node + bpf_core_field_offset(struct xa_node, slots) +
					      ((at >> shift) & (slots - 1)) * sizeof(void *));
		if (!is_node(entry))
			return entry;
	}
	return 0;
}

/* The task of a number (a thread has one of its own); NULL when it has ended. */
static __always_inline struct task_struct *task_of(struct pid *pid)
{
	struct hlist_node *first = pid ? BPF_CORE_READ(pid, tasks[0].first) : 0;

	if (!first)
		return 0;
	return (void *)first - bpf_core_field_offset(struct task_struct, pid_links);
}

#endif
