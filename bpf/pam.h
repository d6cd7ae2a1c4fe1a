/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls of libpam, seen by probes on its functions: who is let in, and who is not. */
#ifndef DEODAR_PAM_H
#define DEODAR_PAM_H

#include "common.h"
#include "pam_records.h"

/* Registers at a user-space probe, as the kernel hands them to programs (x86-64). */
struct probe_regs {
	u64 r15, r14, r13, r12, bp, bx;
	u64 r11, r10, r9, r8;
	u64 ax, cx, dx, si, di;
	u64 orig_ax, ip, cs, flags, sp, ss;
};

/* The head of a PAM handle: the same in every Linux-PAM 1.x, which never showed it to anybody. */
struct pam_handle {
	const char *authtok;
	u32 caller_is;
	u32 hole;
	const void *conversation;
	const char *old_authtok;
	const char *prompt;
	const char *service;
	const char *user;
	const char *rhost;
	const char *ruser;
	const char *tty;
};

struct call {
	u64 thread;
	u64 function;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct call);
	__type(value, u64);
} calls SEC(".maps");

static __always_inline void read_handle(struct pam_record *record, u64 address)
{
	struct pam_handle handle;

	if (bpf_probe_read_user(&handle, sizeof(handle), (void *)address))
		return;
	bpf_probe_read_user_str(record->service, sizeof(record->service), handle.service);
	bpf_probe_read_user_str(record->user, sizeof(record->user), handle.user);
	bpf_probe_read_user_str(record->rhost, sizeof(record->rhost), handle.rhost);
	bpf_probe_read_user_str(record->ruser, sizeof(record->ruser), handle.ruser);
	bpf_probe_read_user_str(record->tty, sizeof(record->tty), handle.tty);
}

/* The ring's memory is not empty: what a short text leaves of it must not get out. */
static __always_inline void clear(struct pam_record *record)
{
	u64 *words = (u64 *)record;

#pragma unroll
	for (u32 i = 0; i < sizeof(*record) / sizeof(u64); i++)
		*(volatile u64 *)&words[i] = 0;
}

static __always_inline void tell(u64 handle, u32 function, s32 result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pam_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	count(RECORD_PAM, !record);
	if (!record)
		return;
	clear(record);
	set_head(&record->head, RECORD_PAM, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->function = function;
	record->result = result;
	record->uid = task->cred->uid.val;
	record->login_uid = login_uid(task);
	record->session_id = session_id(task);
	read_handle(record, handle);
	bpf_ringbuf_submit(record, wake_flags(RECORD_PAM));
}

/*
 * Two programs for all functions, for it takes the kernel its time to remove each of them; which
 * function it is stands in the cookie.
 */
SEC("kprobe")
int deodar_enter(struct probe_regs *regs)
{
	struct call call = { bpf_get_current_pid_tgid(), bpf_get_attach_cookie(regs) };
	u64 handle = regs->di;

	if (call.function == PAM_CLOSE_SESSION) /* over, whatever comes of it */
		tell(handle, call.function, 0);
	else
		bpf_map_update_elem(&calls, &call, &handle, BPF_ANY);
	return 0;
}

SEC("kprobe")
int deodar_return(struct probe_regs *regs)
{
	struct call call = { bpf_get_current_pid_tgid(), bpf_get_attach_cookie(regs) };
	u64 *handle = bpf_map_lookup_elem(&calls, &call);

	if (!handle)
		return 0; /* the call began before the probe was there */
	tell(*handle, call.function, regs->ax);
	bpf_map_delete_elem(&calls, &call);
	return 0;
}

#endif
