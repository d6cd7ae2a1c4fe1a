/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A system call that returned: its number and arguments, whatever the ABI it came by. */
#ifndef DEODAR_CALLS_H
#define DEODAR_CALLS_H

#include "call_records.h"
#include "common.h"

/* Numbers of x86-64. */
enum call_number {
	NR_IOCTL = 16,
	NR_SETSOCKOPT = 54,
	NR_PTRACE = 101,
	NR_INIT_MODULE = 175,
	NR_DELETE_MODULE = 176,
	NR_PROCESS_VM_READV = 310,
	NR_PROCESS_VM_WRITEV = 311,
	NR_FINIT_MODULE = 313,
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SOCKET = 41,
	NR_CONNECT = 42,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_BIND = 49,
	NR_LISTEN = 50,
	NR_RECVMMSG = 299,
	NR_SENDMMSG = 307,
	NR_MEMFD_CREATE = 319,
	NR_BPF = 321,
	NR_PIDFD_GETFD = 438, /* in both */
};

/* Numbers of i386, by which a 32-bit program, or `int $0x80` of any program, calls. */
enum call_number_32 {
	NR32_PTRACE = 26,
	NR32_IOCTL = 54,
	NR32_INIT_MODULE = 128,
	NR32_DELETE_MODULE = 129,
	NR32_PROCESS_VM_READV = 347,
	NR32_PROCESS_VM_WRITEV = 348,
	NR32_FINIT_MODULE = 350,
	NR32_SOCKET = 359,
	NR32_BIND = 361,
	NR32_CONNECT = 362,
	NR32_LISTEN = 363,
	NR32_SENDTO = 369,
	NR32_RECVFROM = 371,
	NR32_MEMFD_CREATE = 356,
	NR32_BPF = 357,
	NR32_SETSOCKOPT = 366,
};

#define NO_CALL (~0u)

struct call {
	u32 number; /* of x86-64 */
	u32 compat; /* 1 when it came by the 32-bit ABI */
	long ret;
	u64 args[6];
};

/* Whether a number may be of interest, in either ABI: what most calls end at. */
static __always_inline bool is_watched(u32 number)
{
	switch (number) {
	case NR_IOCTL:
	case NR_SETSOCKOPT: /* and NR32_IOCTL */
	case NR_PTRACE:
	case NR_INIT_MODULE:
	case NR_DELETE_MODULE:
	case NR_PROCESS_VM_READV:
	case NR_PROCESS_VM_WRITEV:
	case NR_FINIT_MODULE:
	case NR_READ:
	case NR_WRITE:
	case NR_READV:
	case NR_WRITEV:
	case NR_SOCKET:
	case NR_CONNECT:
	case NR_SENDTO:
	case NR_RECVFROM:
	case NR_SENDMSG:
	case NR_RECVMSG:
	case NR_BIND:
	case NR_LISTEN:
	case NR_RECVMMSG:
	case NR_SENDMMSG:
	case NR32_SOCKET:
	case NR32_BIND:
	case NR32_CONNECT:
	case NR32_LISTEN:
	case NR32_SENDTO:
	case NR32_RECVFROM:
	case NR_MEMFD_CREATE:
	case NR_BPF:
	case NR_PIDFD_GETFD:
	case NR32_PTRACE:
	case NR32_INIT_MODULE:
	case NR32_DELETE_MODULE:
	case NR32_PROCESS_VM_READV:
	case NR32_PROCESS_VM_WRITEV:
	case NR32_FINIT_MODULE:
	case NR32_MEMFD_CREATE:
	case NR32_BPF:
	case NR32_SETSOCKOPT:
		return true;
	}
	return false;
}

/* Return the number of x86-64 for one of i386, NO_CALL when it is not of interest. */
static __always_inline u32 native_number(u32 number)
{
	switch (number) {
	case NR32_IOCTL:
		return NR_IOCTL;
	case NR32_SETSOCKOPT:
		return NR_SETSOCKOPT;
	case NR32_PTRACE:
		return NR_PTRACE;
	case NR32_INIT_MODULE:
		return NR_INIT_MODULE;
	case NR32_DELETE_MODULE:
		return NR_DELETE_MODULE;
	case NR32_FINIT_MODULE:
		return NR_FINIT_MODULE;
	case NR32_BPF:
		return NR_BPF;
	case NR32_PROCESS_VM_READV:
		return NR_PROCESS_VM_READV;
	case NR32_PROCESS_VM_WRITEV:
		return NR_PROCESS_VM_WRITEV;
	case NR32_SOCKET:
		return NR_SOCKET;
	case NR32_BIND:
		return NR_BIND;
	case NR32_CONNECT:
		return NR_CONNECT;
	case NR32_LISTEN:
		return NR_LISTEN;
	case NR32_SENDTO:
		return NR_SENDTO;
	case NR32_RECVFROM:
		return NR_RECVFROM;
	case NR32_MEMFD_CREATE:
		return NR_MEMFD_CREATE;
	case NR_PIDFD_GETFD:
		return NR_PIDFD_GETFD;
	}
	return NO_CALL;
}

static __always_inline void set_call(struct call *call, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();

	call->compat = (task->thread_info.status & TS_COMPAT) != 0;
	if (call->compat) {
		call->number = native_number(regs->orig_ax);
		call->ret = (s32)ret;
		call->args[0] = (u32)regs->bx;
		call->args[1] = (u32)regs->cx;
		call->args[2] = (u32)regs->dx;
		call->args[3] = (u32)regs->si;
		call->args[4] = (u32)regs->di;
		call->args[5] = (u32)regs->bp;
		return;
	}
	call->number = regs->orig_ax;
	call->ret = ret;
	call->args[0] = regs->di;
	call->args[1] = regs->si;
	call->args[2] = regs->dx;
	call->args[3] = regs->r10;
	call->args[4] = regs->r8;
	call->args[5] = regs->r9;
}

#endif
