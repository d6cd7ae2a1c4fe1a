/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and what every program of the core tier does. */
#ifndef DEODAR_COMMON_H
#define DEODAR_COMMON_H

#include "records.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* ---- maps; user space sets max_entries of `ring` and `scratch` at load ---- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

/* One record per CPU to build an exec in. A plain array: per-CPU ones end at 32 KB a value. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

struct tally {
	u64 generated;
	u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECORD_KINDS);
	__type(key, u32);
	__type(value, struct tally);
} tallies SEC(".maps");

/* For what the reader wants to be woken. */
enum wake {
	WAKE_FOR_NOTHING,
	WAKE_FOR_EXEC,
	WAKE_FOR_ANY,
};

/* Shared with user space by mmap, so that neither side needs a system call. */
struct settings {
	u32 wake; /* set by user space before a long wait, lowered here with each wake-up */
	u32 own_pid; /* sockets of this process are not reported */
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

/* Who called connect, by the socket's address, until the attempt ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct owner);
} connecting SEC(".maps");

struct endpoint {
	u32 net; /* inode number of the network namespace */
	u16 port;
	u16 reserved;
	u8 address[16]; /* IPv4 as mapped IPv6; all zero for any */
};

/* Who listens where; user space adds those that listened before it came. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct endpoint);
	__type(value, struct owner);
} listeners SEC(".maps");

/* Processes with threads whose exit was reported: two last threads can both see themselves last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct owner);
	__type(value, u8);
} exited SEC(".maps");

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

#endif
