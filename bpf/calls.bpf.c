// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `calls`: system calls that reach into memory, processes, the kernel, sockets, terminals.
 *
 * One program at the exit of all system calls, where the result is known and the arguments are
 * still in the registers. Most calls are of no interest and must leave after a few instructions.
 * To add one: its numbers in calls.h (twice: there and in the two functions), a case here.
 */
#include "access.h"
#include "bpf_use.h"
#include "calls.h"
#include "memfd.h"
#include "module_calls.h"
#include "reads.h"

SEC("tp_btf/sys_exit")
int BPF_PROG(deodar_calls, struct pt_regs *regs, long ret)
{
	struct call call;
	struct task_struct *task;

	if (!is_watched(regs->orig_ax))
		return 0;
	set_call(&call, regs, ret);
	task = bpf_get_current_task_btf();
	if (call.number == NO_CALL || is_own(task->tgid))
		return 0;
	switch (call.number) {
	case NR_IOCTL:
		on_ioctl(&call);
		break;
	case NR_SETSOCKOPT:
		on_setsockopt(&call);
		break;
	case NR_INIT_MODULE:
	case NR_FINIT_MODULE:
	case NR_DELETE_MODULE:
		on_module_call(&call);
		break;
	case NR_BPF:
		on_bpf(&call);
		break;
	case NR_PTRACE:
		on_ptrace(&call);
		break;
	case NR_PROCESS_VM_READV:
		on_process_vm(&call, WAY_VM_READ);
		break;
	case NR_PROCESS_VM_WRITEV:
		on_process_vm(&call, WAY_VM_WRITE);
		break;
	case NR_PIDFD_GETFD:
		on_pidfd_getfd(&call);
		break;
	case NR_MEMFD_CREATE:
		on_memfd_create(&call);
		break;
	default:
		on_file_or_socket(&call);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
