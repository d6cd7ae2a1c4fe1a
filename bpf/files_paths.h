/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Absolute paths as text, from the end to the beginning, and open files by their descriptor.
 *
 * Unlike in paths.h the result can be compared with prefixes here; in exchange everything is read
 * by helpers, since the kernel gives no typed pointer to what a descriptor leads to.
 */
#ifndef DEODAR_FILES_PATHS_H
#define DEODAR_FILES_PATHS_H

#include "files.h"
#include "fds.h"

struct name { /* as the kernel's struct qstr */
	u32 hash, length;
	const u8 *text;
};

struct climb {
	struct dentry *dentry;
	struct mount *mount;
	struct dentry *root; /* of the mount */
	u32 cpu;
	u32 at; /* where the path made so far begins in `names` */
	u32 whole;
	u32 reserved;
};

/* Put one name before the path; or step from a mount's root to where it is mounted. */
static long climb_step(u32 index, struct climb *climb)
{
	struct workspace *space = bpf_map_lookup_elem(&scratch, &climb->cpu);
	struct dentry *dentry = climb->dentry;
	struct dentry *parent;
	struct name name;
	u32 at = climb->at, length;

	if (!space)
		return 1;
	if (dentry == climb->root) {
		struct mount *mount = climb->mount;
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			climb->whole = 1;
			return 1;
		}
		climb->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		climb->mount = above;
		climb->root = BPF_CORE_READ(above, mnt.mnt_root);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	bpf_probe_read_kernel(&name, sizeof(name),
			      (void *)dentry + bpf_core_field_offset(struct dentry, d_name));
	length = name.length & (NAME_BYTES - 1);
	barrier_var(length); /* or the compiler forgets for the verifier that it is short */
	if (at <= length)
		return 1;
	at = (at - length - 1) & (FILE_PATH_BYTES - 1);
	space->names[at] = '/';
	bpf_probe_read_kernel(space->names + at + 1, length, name.text);
	climb->at = at;
	climb->dentry = parent;
	if (parent == dentry) { /* in no folder: a memory file */
		climb->whole = 1;
		return 1;
	}
	return 0;
}

/*
 * Put an absolute path into the payload at `to`; returns how many bytes, none for the root itself.
 * Sets `*whole`.
 */
static __noinline u32 put_kernel_path(struct workspace *space, u32 to, struct path *path, u32 *whole)
{
	struct climb climb = { .cpu = bpf_get_smp_processor_id(), .at = FILE_PATH_BYTES };
	struct vfsmount *mnt = BPF_CORE_READ(path, mnt);
	u32 bytes;

	climb.dentry = BPF_CORE_READ(path, dentry);
	climb.root = BPF_CORE_READ(mnt, mnt_root);
	climb.mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
	bpf_loop(PATH_STEPS, climb_step, &climb, 0);
	*whole = climb.whole;
	bytes = (FILE_PATH_BYTES - climb.at) & (2 * FILE_PATH_BYTES - 1);
	bpf_probe_read_kernel(space->record.payload + (to & (FILE_PAYLOAD_BYTES / 2 - 1)), bytes,
			      space->names + (climb.at & (2 * FILE_PATH_BYTES - 1)));
	return bytes;
}

/* Put a path of a process into the payload: what it passed, behind its folder if it is relative. */
static __noinline u32 put_process_path(struct workspace *space, u32 to, s32 folder, u64 text,
				       u32 *whole)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct path *path = &task->fs->pwd;
	u32 bytes = 0;
	long length;
	u8 first = 0;

	*whole = 1;
	bpf_probe_read_user(&first, 1, (void *)text);
	if (first != '/') {
		if (folder != AT_FDCWD) {
			struct file *file = file_of(folder);

			path = (void *)file + bpf_core_field_offset(struct file, f_path);
		}
		bytes = put_kernel_path(space, to, path, whole);
		to += bytes;
		space->record.payload[to & (FILE_PAYLOAD_BYTES / 2 - 1)] = '/';
		to++;
		bytes++;
	}
	length = bpf_probe_read_user_str(space->record.payload + (to & (FILE_PAYLOAD_BYTES / 2 - 1)),
					 FILE_PATH_BYTES, (void *)text);
	return length > 1 ? bytes + ((length - 1) & (FILE_PATH_BYTES - 1)) : bytes;
}

#endif
