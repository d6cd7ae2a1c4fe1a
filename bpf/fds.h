/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is behind a descriptor of the current process, and how much of its memory is read. */
#ifndef DEODAR_FDS_H
#define DEODAR_FDS_H

#include "common.h"

/*
 * Return the file, NULL for none. It is only good to be read, and what is read may be odd: another
 * thread may have closed it since the call.
 */
static __always_inline struct file *file_of(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	struct file *file = 0;

	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

#define ANON_INODES_MAGIC 0x09041934

/* Whether a file is a kernel object that has no file of its own, by the first bytes of its name. */
static __always_inline bool is_object(struct file *file, u64 name)
{
	u64 found = 0;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODES_MAGIC)
		return false;
	bpf_probe_read_kernel(&found, sizeof(found),
			      BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return found == name;
}

/* Return a length that is no more than a limit; the compiler may not take for granted that it is. */
static __always_inline u32 at_most(u64 bytes, u32 limit)
{
	u32 kept = bytes < limit ? bytes : limit;

	asm volatile("" : "+r"(kept));
	return kept;
}

#endif
