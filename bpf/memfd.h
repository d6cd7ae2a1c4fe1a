/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that are in memory only. */
#ifndef DEODAR_MEMFD_H
#define DEODAR_MEMFD_H

#include "calls.h"
#include "fds.h"

static __always_inline void on_memfd_create(const struct call *call)
{
	struct memfd_record *record;
	struct file *file;

	if (call->ret < 0)
		return;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_MEMFD, !record);
	if (!record)
		return;
	set_head(&record->head, RECORD_MEMFD, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->flags = call->args[1];
	record->reserved = 0;
	__builtin_memset(record->name, 0, sizeof(record->name));
	file = file_of(call->ret);
	record->ino = BPF_CORE_READ(file, f_inode, i_ino);
	bpf_probe_read_kernel_str(record->name, sizeof(record->name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	bpf_ringbuf_submit(record, wake_flags(RECORD_MEMFD));
}

#endif
