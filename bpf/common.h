/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps that every part has, and what every program does. */
#ifndef DEODAR_COMMON_H
#define DEODAR_COMMON_H

#include "head.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* ---- maps; user space sets max_entries of `ring` at load ---- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct tally {
	u64 generated;
	u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MOST_RECORD_KINDS);
	__type(key, u32);
	__type(value, struct tally);
} tallies SEC(".maps");

/* For what the reader wants to be woken. */
enum wake {
	WAKE_FOR_NOTHING,
	WAKE_FOR_EXEC,
	WAKE_FOR_ANY,
};

#define OWN_PIDS 7

/* Shared with user space by mmap, so that neither side needs a system call. */
struct settings {
	u32 wake; /* set by user space before a long wait, lowered here with each wake-up */
	u32 own[OWN_PIDS]; /* what these processes do is not reported; 0 for none */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct owner {
	u64 start;
	u32 pid;
	u32 reserved;
};

/* ---- common parts ---- */

static __always_inline void count(u32 kind, long failed)
{
	struct tally *tally = bpf_map_lookup_elem(&tallies, &kind);

	if (!tally)
		return;
	tally->generated++;
	if (failed)
		tally->lost++;
}

static __always_inline void set_head(struct record_head *head, u16 kind, struct task_struct *task)
{
	head->kind = kind;
	head->flags = 0;
	head->pid = task->tgid;
	head->start = task->group_leader->start_boottime;
}

static __always_inline u32 login_uid(struct task_struct *task)
{
	return bpf_core_field_exists(task->loginuid) ? task->loginuid.val : ~0u;
}

static __always_inline u32 session_id(struct task_struct *task)
{
	return bpf_core_field_exists(task->sessionid) ? task->sessionid : ~0u;
}

/*
 * How to submit a record. Waking costs more than all the rest, so it is done for the first record
 * after some quiet, and for the first exec after that: the fork before it is of less interest.
 */
static __always_inline u64 wake_flags(u32 kind)
{
	u32 zero = 0;
	struct settings *shared = bpf_map_lookup_elem(&settings, &zero);

	if (!shared || shared->wake == WAKE_FOR_NOTHING)
		return BPF_RB_NO_WAKEUP;
	if (kind == RECORD_EXEC)
		shared->wake = WAKE_FOR_NOTHING;
	else if (shared->wake == WAKE_FOR_ANY)
		shared->wake = WAKE_FOR_EXEC;
	else
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

/* Whether a process is one of the agent's own. */
static __always_inline bool is_own(u32 pid)
{
	u32 zero = 0;
	struct settings *shared = bpf_map_lookup_elem(&settings, &zero);

	if (!shared || !pid)
		return false;
#pragma unroll
	for (int i = 0; i < OWN_PIDS; i++)
		if (shared->own[i] == pid)
			return true;
	return false;
}

static __always_inline void set_owner(struct owner *owner)
{
	struct task_struct *task = bpf_get_current_task_btf();

	owner->pid = task->tgid;
	owner->start = task->group_leader->start_boottime;
	owner->reserved = 0;
}

#endif
