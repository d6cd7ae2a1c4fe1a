/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that a process maps as code; writing through a mapping. */
#ifndef DEODAR_FILES_LIBRARIES_H
#define DEODAR_FILES_LIBRARIES_H

#include "files_opened.h"

#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_KINDS 15
#define MAP_ANONYMOUS 0x20

/* Tell of a library, once in a while per program; of one without a name always. */
static __noinline void on_code(struct workspace *space, struct task_struct *task, struct file *file)
{
	struct sighting sighting = {};
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct inode *program = BPF_CORE_READ(task, mm, exe_file, f_inode);

	if (!inode || inode == program)
		return;
	sighting.what = BPF_CORE_READ(inode, i_ino);
	sighting.what_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	sighting.who = BPF_CORE_READ(program, i_ino);
	sighting.who_dev = BPF_CORE_READ(program, i_sb, s_dev);
	if (BPF_CORE_READ(inode, i_nlink) && !is_news(&sighting))
		return;
	begin(space, RECORD_LIBRARY)->file = file;
	report(space);
}

static __always_inline void on_mmap(struct workspace *space, struct task_struct *task)
{
	struct call *call = &space->call;
	struct file *file;

	if (call->d & MAP_ANONYMOUS)
		return;
	if (call->c & PROT_EXEC) {
		file = file_of(call->e);
		if (file)
			on_code(space, task, file);
	}
	if (call->c & PROT_WRITE && (call->d & MAP_KINDS) != 2)
		on_write(space, task, call->e);
}

struct found_area {
	struct file *file;
};

static long note_area(struct task_struct *task, struct vm_area_struct *area,
		      struct found_area *found)
{
	found->file = area->vm_file;
	return 0;
}

/* A part of memory was made executable: a file's, maybe. */
static __always_inline void on_mprotect(struct workspace *space, struct task_struct *task)
{
	struct call *call = &space->call;
	struct found_area found = {};

	if (!(call->c & PROT_EXEC))
		return;
	bpf_find_vma(task, call->a, note_area, &found, 0);
	if (found.file)
		on_code(space, task, found.file);
}

#endif
