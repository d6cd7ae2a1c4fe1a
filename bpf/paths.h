/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Absolute paths, name by name through folders and mounts, without the helper for it (bpf_d_path is
 * not allowed in tracepoint programs). Whoever includes this has a map `scratch` with a PATHS_RECORD
 * per CPU, whose `payload` has room for PATHS_BYTES.
 */
#ifndef DEODAR_PATHS_H
#define DEODAR_PATHS_H

#include "common.h"

struct walk {
	struct dentry *dentry;
	struct mount *mount;
	struct dentry *root; /* of the mount */
	u32 cpu;
	u32 at; /* where the next name goes in the payload */
	u32 limit;
	u32 done;
};

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* One name of a path, leaf first; or one step from a mount's root to where it is mounted. */
static long walk_step(u32 index, struct walk *walk)
{
	PATHS_RECORD *record = bpf_map_lookup_elem(&scratch, &walk->cpu);
	struct dentry *dentry = walk->dentry;
	struct dentry *parent;
	const u8 *name;
	u32 at = walk->at;
	long length;

	if (!record || at >= walk->limit)
		return 1;
	if (dentry == walk->root) {
		struct mount *mount = walk->mount;
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			walk->done = 1;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		walk->root = BPF_CORE_READ(above, mnt.mnt_root);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	name = BPF_CORE_READ(dentry, d_name.name);
	at &= PATHS_BYTES - 1;
	length = bpf_probe_read_kernel_str(record->payload + at, NAME_BYTES, name);
	if (length > 0)
		walk->at = at + length;
	walk->dentry = parent;
	if (parent == dentry) { /* in no folder: a memory file */
		walk->done = 1;
		return 1;
	}
	return 0;
}

/*
 * The first names of a path, without leaving its mount. Here the verifier knows what `dentry` is,
 * so that its fields are read by plain loads; that halves the cost of a usual path.
 */
static __always_inline void walk_quickly(struct walk *walk, PATHS_RECORD *record,
					 struct path *path)
{
	struct dentry *dentry = path->dentry;
	struct dentry *root = path->mnt->mnt_root;
	u32 at = walk->at;

#pragma unroll
	for (int step = 0; step < QUICK_STEPS; step++) {
		struct dentry *parent = dentry->d_parent;
		long length;

		if (dentry == root || dentry == parent)
			break;
		at &= PATHS_BYTES - 1;
		length = bpf_probe_read_kernel_str(record->payload + at, NAME_BYTES,
						   dentry->d_name.name);
		if (length > 0)
			at += length;
		dentry = parent;
	}
	walk->dentry = dentry;
	walk->root = root;
	walk->at = at;
}

/* Append the names of a path to the payload; moves walk->at, sets walk->done if it is whole. */
static __always_inline void put_path(struct walk *walk, PATHS_RECORD *record,
				     struct path *path)
{
	struct mount *mount = mount_of(path->mnt);

	walk_quickly(walk, record, path);
	walk->done = walk->dentry == walk->root && BPF_CORE_READ(mount, mnt_parent) == mount;
	if (walk->done)
		return;
	walk->mount = mount;
	walk->limit = walk->at + PATH_BYTES;
	bpf_loop(PATH_STEPS, walk_step, walk, 0);
}

#endif
