/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told, what is counted, what is left out: the policy, the budget of a process, the record. */
#ifndef DEODAR_FILES_REPORT_H
#define DEODAR_FILES_REPORT_H

#include "files_paths.h"
#include "times.h"

#define EXECUTABLE_BITS 0111
#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFCHR 0020000
#define S_IFLNK 0120000

/* Begin to describe something that a process did. */
static __always_inline struct deed *begin(struct workspace *space, u16 kind)
{
	__builtin_memset(&space->deed, 0, sizeof(space->deed));
	space->deed.kind = kind;
	return &space->deed;
}

static __always_inline void put_inode(struct file_record *record, struct inode *inode)
{
	record->mode = BPF_CORE_READ(inode, i_mode);
	record->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	record->ino = BPF_CORE_READ(inode, i_ino);
	record->size = BPF_CORE_READ(inode, i_size);
	if (!BPF_CORE_READ(inode, i_nlink))
		record->head.flags |= FILE_UNLINKED;
	read_times(&record->mtime, &record->ctime, inode);
}

static __always_inline void put_no_inode(struct file_record *record, u32 mode)
{
	record->mode = mode;
	record->dev = 0;
	record->ino = 0;
	record->size = 0;
	record->mtime = 0;
	record->ctime = 0;
}

/* What is wanted for a path in the payload; the four bytes before `at` are free. */
static __always_inline u32 wanted_for(struct file_record *record, u32 at, u32 bytes)
{
	u32 *flags;
	u8 *key;

	at &= FILE_PAYLOAD_BYTES / 2 - 1;
	key = record->payload + at - sizeof(u32);
	*(u32 *)key = 8 * (bytes < PREFIX_BYTES ? bytes : PREFIX_BYTES);
	flags = bpf_map_lookup_elem(&prefixes, key);
	return flags ? *flags : 0;
}

/* Whether a process may have one more change told. */
static __always_inline bool within_budget(struct owner *owner, u64 now)
{
	u32 zero = 0;
	struct policy *limits = bpf_map_lookup_elem(&policy, &zero);
	u64 *ahead, next;

	if (!limits || !limits->interval)
		return true;
	ahead = bpf_map_lookup_elem(&budgets, owner);
	if (!ahead) {
		next = now + limits->interval;
		bpf_map_update_elem(&budgets, owner, &next, BPF_ANY);
		return true;
	}
	next = *ahead > now ? *ahead : now;
	if (next > now + limits->burst)
		return false;
	*ahead = next + limits->interval;
	return true;
}

static __always_inline void count_one(struct repeats *repeats, u32 operation, u64 now)
{
	__sync_fetch_and_add(&repeats->counts[operation & (FILE_OPERATIONS - 1)], 1);
	if (!repeats->first)
		repeats->first = now;
	repeats->last = now;
}

/*
 * Count a change that is not told; without room for its process, under no process's name. User
 * space turns to the other generation, waits until no program is left that uses this one (they
 * run in RCU read sections), and takes it away: so every change is in one count, and in only one.
 */
static __noinline void count_only(struct workspace *space, struct owner *owner, u64 now)
{
	struct file_record *record = &space->record;
	struct policy *current;
	struct repeats *repeats;
	u32 bytes, zero = 0;

	current = bpf_map_lookup_elem(&policy, &zero);
	if (current)
		owner->reserved = current->generation;
	repeats = bpf_map_lookup_elem(&counted, owner);
	if (!repeats) {
		__builtin_memset(&space->none, 0, sizeof(space->none));
		bytes = record->path_bytes < PREFIX_BYTES ? record->path_bytes : PREFIX_BYTES;
		space->none.path_bytes = bytes;
		bpf_probe_read_kernel(space->none.path, bytes & (2 * PREFIX_BYTES - 1),
				      record->payload);
		bpf_map_update_elem(&counted, owner, &space->none, BPF_NOEXIST);
		repeats = bpf_map_lookup_elem(&counted, owner);
	}
	if (!repeats) {
		struct owner nobody = { .reserved = owner->reserved };

		repeats = bpf_map_lookup_elem(&counted, &nobody);
	}
	if (repeats)
		count_one(repeats, record->operation, now);
	else
		count(RECORD_FILE_CHANGE, 1);
}

/* Put both paths of a deed into the record; returns what is wanted for them. */
static __always_inline u32 put_paths(struct workspace *space)
{
	struct file_record *record = &space->record;
	struct deed *deed = &space->deed;
	u32 whole = 1, wanted, at;

	record->previous_bytes = 0;
	if (deed->file) {
		struct path *path = (void *)deed->file + bpf_core_field_offset(struct file, f_path);

		record->path_bytes = put_kernel_path(space, 0, path, &whole);
	} else {
		record->head.flags |= PATH_FROM_PROCESS;
		record->path_bytes = put_process_path(space, 0, deed->folder, deed->text, &whole);
	}
	if (!whole)
		record->head.flags |= PATH_TRUNCATED;
	wanted = wanted_for(record, 0, record->path_bytes);
	if (!deed->file) /* it may lead elsewhere by "..", so user space looks once more */
		wanted &= ~PREFIX_EXCLUDED;
	if (!deed->previous)
		return wanted;
	at = record->path_bytes + sizeof(u32);
	record->previous_bytes = put_process_path(space, at, deed->previous_folder, deed->previous,
						  &whole);
	if (!whole)
		record->head.flags |= PREVIOUS_TRUNCATED;
	return wanted | (wanted_for(record, at, record->previous_bytes) & PREFIX_IMPORTANT);
}

/* Whether a change is told one by one whatever its process's budget. */
static __always_inline bool is_important(struct file_record *record, u32 wanted)
{
	u32 type = record->mode & S_IFMT; /* not known where a name was given a mode */

	if (wanted & PREFIX_IMPORTANT)
		return true;
	return (type == S_IFREG || !type) && record->mode & EXECUTABLE_BITS;
}

/* Tell what a process did, or count it, or leave it out; returns whether it was told. */
static __noinline bool report(struct workspace *space)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file_record *record = &space->record;
	struct deed *deed = &space->deed;
	struct file *file = deed->file;
	struct owner owner;
	u32 wanted, bytes;
	long failed;

	set_head(&record->head, deed->kind, task);
	record->head.flags = deed->flags;
	record->head.time = bpf_ktime_get_boot_ns();
	record->operation = deed->operation;
	record->open_flags = deed->open_flags;
	record->target_start = deed->target_start;
	record->target_pid = deed->target_pid;
	record->device = deed->device;
	record->reserved = 0;
	if (file)
		put_inode(record, BPF_CORE_READ(file, f_inode));
	else
		put_no_inode(record, deed->mode);
	wanted = put_paths(space);
	if (deed->kind == RECORD_FILE_CHANGE) {
		if (wanted & PREFIX_EXCLUDED)
			return false;
		set_owner(&owner);
		if (!is_important(record, wanted) && !within_budget(&owner, record->head.time)) {
			count_only(space, &owner, record->head.time);
			return false;
		}
	}
	bytes = record->path_bytes;
	if (record->previous_bytes)
		bytes += sizeof(u32) + record->previous_bytes;
	bytes = (bytes & (FILE_PAYLOAD_BYTES - 1)) + __builtin_offsetof(struct file_record, payload);
	failed = bpf_ringbuf_output(&ring, record, bytes, wake_flags(deed->kind));
	count(deed->kind, failed);
	return !failed;
}

/* Whether to tell once more what was told before, some time ago. */
static __always_inline bool is_news(struct sighting *sighting)
{
	u32 zero = 0;
	struct policy *limits = bpf_map_lookup_elem(&policy, &zero);
	u64 now = bpf_ktime_get_boot_ns();
	u64 *before = bpf_map_lookup_elem(&seen, sighting);

	if (before && limits && now - *before < limits->again)
		return false;
	bpf_map_update_elem(&seen, sighting, &now, BPF_ANY);
	return true;
}

#endif
