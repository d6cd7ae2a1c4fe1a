// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `files`: what processes do to files, which libraries they load, raw devices and other
 * processes' memory that they open.
 *
 * One program at the end of system calls: only there it is known what came of them, and the
 * arguments are still in the registers. What a descriptor leads to comes from the kernel. Which
 * changes are told, which only counted, and which left out, see files_report.h.
 */
#include "files_opened.h"
#include "files_named.h"
#include "files_libraries.h"

#define FS_IOC_SETFLAGS 0x40086602
#define FS_IOC_FSSETXATTR 0x401c5820
#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d

/* The flags of open(2) that a call passed. */
static __always_inline u32 open_flags(struct call *call)
{
	u64 how = 0;

	switch (call->number) {
	case CALL_CREAT:
		return O_TRUNC | 0101; /* O_CREAT | O_WRONLY */
	case CALL_OPEN:
		return call->b;
	case CALL_OPENAT2:
		bpf_probe_read_user(&how, sizeof(how), (void *)call->c);
		return how;
	}
	return call->c;
}

/* Calls with descriptors; returns false for another one. */
static __always_inline bool took_descriptor(struct workspace *space, struct task_struct *task)
{
	struct call *call = &space->call;

	switch (call->number) {
	case CALL_CLOSE:
		on_close(space, task, call->a);
		return true;
	case CALL_DUP2:
	case CALL_DUP3:
		if (call->a != call->b)
			on_close(space, task, call->b);
		return true;
	case CALL_OPEN:
	case CALL_OPENAT:
	case CALL_OPENAT2:
	case CALL_OPEN_BY_HANDLE_AT:
	case CALL_CREAT:
		on_open(space, task, open_flags(call));
		return true;
	case CALL_MMAP:
		on_mmap(space, task);
		return true;
	case CALL_MPROTECT:
	case CALL_PKEY_MPROTECT:
		on_mprotect(space, task);
		return true;
	}
	return false;
}

/* Calls that write through a descriptor; returns false for another one. */
static __always_inline bool took_write(struct workspace *space, struct task_struct *task)
{
	struct call *call = &space->call;
	u32 fd = call->a;

	switch (call->number) {
	case CALL_COPY_FILE_RANGE:
	case CALL_SPLICE:
		fd = call->c;
		/* fall through */
	case CALL_WRITE:
	case CALL_PWRITE64:
	case CALL_WRITEV:
	case CALL_PWRITEV:
	case CALL_PWRITEV2:
	case CALL_SENDFILE:
		if (call->result)
			on_write(space, task, fd);
		return true;
	case CALL_FTRUNCATE:
	case CALL_FALLOCATE:
		on_write(space, task, fd);
		return true;
	case CALL_IOCTL:
		if (call->b == FICLONE || call->b == FICLONERANGE)
			on_write(space, task, fd);
		return call->b != FS_IOC_SETFLAGS && call->b != FS_IOC_FSSETXATTR;
	}
	return false;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(deodar_files, struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 number = number_of(task, regs), cpu;
	struct workspace *space;

	if (!concerns_files(number) || !ended_well(result) || is_own(task->tgid))
		return 0;
	cpu = bpf_get_smp_processor_id();
	space = bpf_map_lookup_elem(&scratch, &cpu);
	if (!space)
		return 0;
	put_call(&space->call, number, task, regs, result);
	if (!took_write(space, task) && !took_descriptor(space, task))
		on_named(space);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
