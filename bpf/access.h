/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process reaches into another: ptrace, process_vm_readv and _writev, pidfd_getfd.
 *
 * A debugger does so thousands of times a second: repetitions of one (source, target, way) are
 * added up.
 */
#ifndef DEODAR_ACCESS_H
#define DEODAR_ACCESS_H

#include "calls.h"
#include "fds.h"
#include "pids.h"
#include "repeats.h"

#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_POKEUSR 6
#define PTRACE_SETREGS 13
#define PTRACE_SETFPREGS 15
#define PTRACE_ATTACH 16
#define PTRACE_SETFPXREGS 19 /* of i386 */
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206
#define PTRACE_SET_SYSCALL_INFO 0x4212

#define PIDFS_MAGIC 0x50494446 /* of the file system that pidfds are on since 6.9 */

struct reach {
	u64 source_start, target_start;
	u32 source, target;
	u32 way;
	u32 reserved;
};

/* What is added up. When it is full every call is told by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct reach);
	__type(value, struct repeats);
} reached SEC(".maps");

static __always_inline void tell_reach(const struct reach *reach, u64 now, u64 bytes, u64 calls)
{
	struct access_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	count(RECORD_ACCESS, !record);
	if (!record)
		return;
	record->head.kind = RECORD_ACCESS;
	record->head.flags = 0;
	record->head.pid = reach->source;
	record->head.start = reach->source_start;
	record->head.time = now;
	record->target = reach->target;
	record->target_start = reach->target_start;
	record->bytes = bytes;
	record->way = reach->way;
	record->calls = calls;
	record->reserved = 0;
	bpf_ringbuf_submit(record, wake_flags(RECORD_ACCESS));
}

static __always_inline void on_reach(const struct reach *reach, u64 bytes, u32 seconds)
{
	u64 now = bpf_ktime_get_boot_ns();
	u64 calls = 1;
	struct repeats *repeats = bpf_map_lookup_elem(&reached, reach);

	if (!repeats) {
		struct repeats first = { .told = now, .last = now };

		bpf_map_update_elem(&reached, reach, &first, BPF_NOEXIST);
	} else if (is_repeat(repeats, now, seconds, &bytes, &calls)) {
		return;
	}
	tell_reach(reach, now, bytes, calls);
}

/* Fill in who reaches whom; false for a process that reaches into itself. */
static __always_inline bool set_reach(struct reach *reach, u32 way, struct task_struct *target,
				      u32 number)
{
	struct task_struct *source = bpf_get_current_task_btf();

	reach->source = source->tgid;
	reach->source_start = source->group_leader->start_boottime;
	reach->target = target ? BPF_CORE_READ(target, tgid) : number;
	reach->target_start = target ? BPF_CORE_READ(target, group_leader, start_boottime) : 0;
	reach->way = way;
	reach->reserved = 0;
	return reach->target != reach->source || reach->target_start != reach->source_start;
}

/*
 * `number` is the target's in the caller's namespace; the record has that of the host. Of a target
 * that has ended meanwhile it has none, unless the caller's namespace is the host's.
 */
static __always_inline void reach_number(u32 number, u32 way, u64 bytes, u32 seconds)
{
	struct task_struct *source = bpf_get_current_task_btf();
	struct task_struct *target = task_of(pid_in(pid_namespace_of(source), number));
	struct reach reach;

	if (source->thread_pid->level)
		number = 0;
	if (set_reach(&reach, way, target, number))
		on_reach(&reach, bytes, seconds);
}

static __always_inline u32 way_of_ptrace(u64 request)
{
	switch (request) {
	case PTRACE_ATTACH:
		return WAY_PTRACE_ATTACH;
	case PTRACE_SEIZE:
		return WAY_PTRACE_SEIZE;
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
		return WAY_PTRACE_POKE;
	case PTRACE_POKEUSR:
	case PTRACE_SETREGS:
	case PTRACE_SETFPREGS:
	case PTRACE_SETFPXREGS:
	case PTRACE_SETREGSET:
	case PTRACE_SET_SYSCALL_INFO:
		return WAY_PTRACE_REGISTERS;
	}
	return 0;
}

static __always_inline void on_ptrace(const struct call *call)
{
	u32 way = way_of_ptrace(call->args[0]);
	u64 bytes = 0;

	if (!way || call->ret < 0)
		return;
	if (way == WAY_PTRACE_POKE)
		bytes = call->compat ? 4 : 8;
	reach_number(call->args[1], way, bytes, LONG_SECONDS);
}

static __always_inline void on_process_vm(const struct call *call, u32 way)
{
	if (call->ret > 0)
		reach_number(call->args[0], way, call->ret, SHORT_SECONDS);
}

static __always_inline struct pid *pid_of_pidfd(u32 fd)
{
	struct file *file = file_of(fd);

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) == PIDFS_MAGIC)
		return BPF_CORE_READ(file, f_inode, i_private);
	return BPF_CORE_READ(file, private_data);
}

static __always_inline void on_pidfd_getfd(const struct call *call)
{
	struct reach reach;

	if (call->ret < 0)
		return;
	if (set_reach(&reach, WAY_PIDFD_GETFD, task_of(pid_of_pidfd(call->args[0])), 0))
		on_reach(&reach, 0, SHORT_SECONDS);
}

#endif
