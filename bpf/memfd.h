/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that are in memory only. Desktops make many of one name: those are added up. */
#ifndef DEODAR_MEMFD_H
#define DEODAR_MEMFD_H

#include "calls.h"
#include "fds.h"
#include "repeats.h"

#define FIRST_WORDS 8 /* of a name, by which it is known again */

struct memory_file {
	u64 start;
	u64 hash; /* of the first words of the name */
	u32 pid;
	u32 flags; /* of memfd_create */
};

struct memory_files {
	struct repeats repeats;
	u64 name[FIRST_WORDS];
};

/* When it is full every file is told by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct memory_file);
	__type(value, struct memory_files);
} memory_files SEC(".maps");

static __always_inline void tell_memory_file(const struct call *call, struct file *file, u64 now,
					     u64 files)
{
	struct memfd_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	count(RECORD_MEMFD, !record);
	if (!record)
		return;
	set_head(&record->head, RECORD_MEMFD, bpf_get_current_task_btf());
	record->head.time = now;
	record->flags = call->args[1];
	record->files = files;
	record->ino = BPF_CORE_READ(file, f_inode, i_ino);
	__builtin_memset(record->name, 0, sizeof(record->name));
	bpf_probe_read_kernel_str(record->name, sizeof(record->name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	bpf_ringbuf_submit(record, wake_flags(RECORD_MEMFD));
}

static __noinline int on_memfd_create(const struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 now = bpf_ktime_get_boot_ns(), bytes = 0, files = 1;
	struct memory_file key = { .pid = task->tgid, .start = task->group_leader->start_boottime };
	struct memory_files first = { .repeats = { .told = now, .last = now } };
	struct memory_files *known;
	struct file *file;

	if (!call || call->ret < 0)
		return 0;
	key.flags = call->args[1];
	file = file_of(call->ret);
	bpf_probe_read_kernel_str(first.name, sizeof(first.name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
#pragma unroll
	for (int word = 0; word < FIRST_WORDS; word++)
		key.hash = (key.hash ^ first.name[word]) * 0x9e3779b97f4a7c15ULL;
	known = bpf_map_lookup_elem(&memory_files, &key);
	if (!known)
		bpf_map_update_elem(&memory_files, &key, &first, BPF_NOEXIST);
	else if (is_repeat(&known->repeats, now, LONG_SECONDS, &bytes, &files))
		return 0;
	tell_memory_file(call, file, now, files);
	return 0;
}

#endif
