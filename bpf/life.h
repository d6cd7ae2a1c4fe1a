/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fork and exit, of whole processes only. */
#ifndef DEODAR_LIFE_H
#define DEODAR_LIFE_H

#include "core.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(deodar_fork, struct task_struct *current, struct task_struct *child)
{
	const struct cred *cred;
	struct task_struct *parent;
	struct fork_record *record;

	if (child->pid != child->tgid || child->flags & PF_KTHREAD)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_FORK, !record);
	if (!record)
		return 0;
	cred = child->cred;
	parent = child->real_parent; /* not always `current`: CLONE_PARENT */
	set_head(&record->head, RECORD_FORK, child);
	record->head.time = record->head.start;
	record->parent_pid = parent->tgid;
	record->parent_start = parent->group_leader->start_boottime;
	record->uid = cred->uid.val;
	record->gid = cred->gid.val;
	record->euid = cred->euid.val;
	record->egid = cred->egid.val;
	record->login_uid = login_uid(child);
	record->session_id = session_id(child);
	record->reserved = 0;
	bpf_core_read(record->comm, sizeof(record->comm), &child->comm);
	bpf_ringbuf_submit(record, wake_flags(RECORD_FORK));
	return 0;
}

/*
 * Whether this thread is the one to report the process's end. `live` counts down before this
 * point, so two threads that leave together can both find it 0; the first one to enter the
 * process into `exited` reports. A process that never had a second thread needs no map:
 * nr_threads is 1, and no thread was ever reaped (its run time would have been added up).
 */
static __always_inline bool ends_process(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct owner key = {};
	u8 seen = 1;

	if (signal->live.counter)
		return false;
	if (signal->nr_threads == 1 && !signal->sum_sched_runtime)
		return true;
	key.pid = task->tgid;
	key.start = task->group_leader->start_boottime;
	return !bpf_map_update_elem(&exited, &key, &seen, BPF_NOEXIST);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(deodar_exit, struct task_struct *task)
{
	struct exit_record *record;
	struct signal_struct *signal = task->signal;

	if (task->flags & PF_KTHREAD || !ends_process(task))
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_EXIT, !record);
	if (!record)
		return 0;
	set_head(&record->head, RECORD_EXIT, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code :
							     task->group_leader->exit_code;
	record->reserved = 0;
	bpf_ringbuf_submit(record, wake_flags(RECORD_EXIT));
	return 0;
}

#endif
