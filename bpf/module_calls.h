/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel modules that a process loaded or unloaded. The call knows the file, not the module's name:
 * that comes from the part `modules`, where the kernel has modules at all.
 */
#ifndef DEODAR_MODULE_CALLS_H
#define DEODAR_MODULE_CALLS_H

#include "calls.h"
#include "fds.h"
#include "times.h"

/* One per CPU, to build a record in. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct module_record);
} scratch SEC(".maps");

#define PATHS_RECORD struct module_record
#include "paths.h"

static __always_inline void put_module_file(struct module_record *record, struct file *file)
{
	struct walk walk = { .cpu = bpf_get_smp_processor_id(), .limit = PATH_BYTES };
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);

	record->ino = BPF_CORE_READ(inode, i_ino);
	record->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	record->size = BPF_CORE_READ(inode, i_size);
	record->mode = BPF_CORE_READ(inode, i_mode);
	read_times(&record->mtime, &record->ctime, inode);
	walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	walk.mount = mount_of(mnt);
	walk.root = BPF_CORE_READ(mnt, mnt_root);
	bpf_loop(PATH_STEPS, walk_step, &walk, 0);
	record->path_bytes = walk.at;
	record->path_cut = !walk.done;
}

#define MODULE_DESCRIPTORS 64 /* that are looked through */
#define SUFFIX_BYTES 7 /* of ".ko.zst", the longest */

struct module_search {
	struct file *found;
};

/* Whether a name ends as those of modules do: .ko, .ko.xz, .ko.gz, .ko.zst. */
static __always_inline bool is_module_name(struct dentry *dentry)
{
	u32 length = BPF_CORE_READ(dentry, d_name.len);
	char end[8] = {};

	if (length < SUFFIX_BYTES)
		return false;
	bpf_probe_read_kernel(end, SUFFIX_BYTES,
			      BPF_CORE_READ(dentry, d_name.name) + length - SUFFIX_BYTES);
	if (end[4] == '.' && end[5] == 'k' && end[6] == 'o')
		return true;
	if (end[1] == '.' && end[2] == 'k' && end[3] == 'o' && end[4] == '.')
		return true;
	return end[0] == '.' && end[1] == 'k' && end[2] == 'o' && end[3] == '.';
}

static long look_at_descriptor(u32 fd, struct module_search *search)
{
	struct file *file = file_of(fd);

	if (!file || !is_module_name(BPF_CORE_READ(file, f_path.dentry)))
		return 0;
	search->found = file;
	return 1;
}

/* What a loader has open while it loads from memory: modprobe unpacks compressed modules itself. */
static __always_inline struct file *module_at_hand(void)
{
	struct module_search search = {};

	bpf_loop(MODULE_DESCRIPTORS, look_at_descriptor, &search, 0);
	return search.found;
}

static __noinline int on_module_call(const struct call *call)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct module_record *record = bpf_map_lookup_elem(&scratch, &cpu);
	struct file *file = 0;
	u32 bytes;

	if (!record || !call || call->ret < 0)
		return 0;
	__builtin_memset(record, 0, __builtin_offsetof(struct module_record, payload));
	set_head(&record->head, RECORD_MODULE, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->operation = call->number == NR_DELETE_MODULE ? MODULE_UNLOAD : MODULE_LOAD;
	if (call->number == NR_DELETE_MODULE) {
		bpf_probe_read_user_str(record->name, sizeof(record->name), (void *)call->args[0]);
	} else if (call->number == NR_INIT_MODULE) {
		record->head.flags = MODULE_FROM_MEMORY;
		file = module_at_hand();
	} else {
		file = file_of(call->args[0]);
	}
	if (file)
		put_module_file(record, file);
	bytes = record->path_bytes & (PATHS_BYTES - 1);
	bytes += __builtin_offsetof(struct module_record, payload);
	count(RECORD_MODULE, bpf_ringbuf_output(&ring, record, bytes, wake_flags(RECORD_MODULE)));
	return 0;
}

#endif
