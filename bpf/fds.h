/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is behind a descriptor of the current process. */
#ifndef DEODAR_FDS_H
#define DEODAR_FDS_H

#include "common.h"

/*
 * Return the file, NULL for none. It is only good to be read: it may be closed meanwhile. Without
 * preemption of the program's RCU section its memory stays, but may be another file's by then.
 */
static __always_inline struct file *file_of(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = 0;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

#endif
