/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files by their names: made, renamed, removed, given other attributes.
 *
 * When such a call has ended the kernel has forgotten the file, so the name is the one that the
 * process passed, and another thread of it may have changed that meanwhile.
 */
#ifndef DEODAR_FILES_NAMED_H
#define DEODAR_FILES_NAMED_H

#include "files_opened.h"

static __always_inline void set_name(struct deed *deed, u32 operation, s32 folder, u64 text)
{
	deed->operation = operation;
	deed->folder = folder;
	deed->text = text;
}

static __always_inline void set_made(struct deed *deed, s32 folder, u64 text, u32 mode)
{
	set_name(deed, FILE_CREATE, folder, text);
	deed->mode = mode;
}

static __always_inline void set_renamed(struct deed *deed, s32 old_folder, u64 old, s32 folder,
					u64 text)
{
	set_name(deed, FILE_RENAME, folder, text);
	deed->previous_folder = old_folder;
	deed->previous = old;
}

/* Calls that make, rename and remove names; returns false for another one. */
static __always_inline bool took_name(struct deed *deed, struct call *call)
{
	switch (call->number) {
	case CALL_MKDIR:
		set_made(deed, AT_FDCWD, call->a, S_IFDIR | (call->b & 07777));
		return true;
	case CALL_MKDIRAT:
		set_made(deed, call->a, call->b, S_IFDIR | (call->c & 07777));
		return true;
	case CALL_MKNOD:
		set_made(deed, AT_FDCWD, call->a, call->b & S_IFMT ? call->b : S_IFREG | call->b);
		return true;
	case CALL_MKNODAT:
		set_made(deed, call->a, call->b, call->c & S_IFMT ? call->c : S_IFREG | call->c);
		return true;
	case CALL_SYMLINK:
		set_made(deed, AT_FDCWD, call->b, S_IFLNK | 0777);
		return true;
	case CALL_SYMLINKAT:
		set_made(deed, call->b, call->c, S_IFLNK | 0777);
		return true;
	case CALL_LINK:
		set_made(deed, AT_FDCWD, call->b, 0);
		return true;
	case CALL_LINKAT:
		set_made(deed, call->c, call->d, 0);
		return true;
	case CALL_RENAME:
		set_renamed(deed, AT_FDCWD, call->a, AT_FDCWD, call->b);
		return true;
	case CALL_RENAMEAT:
	case CALL_RENAMEAT2:
		set_renamed(deed, call->a, call->b, call->c, call->d);
		return true;
	case CALL_UNLINK:
	case CALL_RMDIR:
		set_name(deed, FILE_DELETE, AT_FDCWD, call->a);
		return true;
	case CALL_UNLINKAT:
		set_name(deed, FILE_DELETE, call->a, call->b);
		return true;
	}
	return false;
}

/* Calls that change attributes, and truncate; those through a descriptor set `deed->file`. */
static __always_inline bool took_attributes(struct deed *deed, struct call *call)
{
	switch (call->number) {
	case CALL_TRUNCATE:
		set_name(deed, FILE_MODIFY, AT_FDCWD, call->a);
		return true;
	case CALL_CHMOD:
		deed->mode = call->b & 07777;
		set_name(deed, FILE_ATTRIBUTES, AT_FDCWD, call->a);
		return true;
	case CALL_FCHMODAT:
	case CALL_FCHMODAT2:
		deed->mode = call->c & 07777;
		set_name(deed, FILE_ATTRIBUTES, call->a, call->b);
		return true;
	case CALL_CHOWN:
	case CALL_LCHOWN:
	case CALL_UTIME:
	case CALL_UTIMES:
	case CALL_SETXATTR:
	case CALL_LSETXATTR:
	case CALL_REMOVEXATTR:
	case CALL_LREMOVEXATTR:
		set_name(deed, FILE_ATTRIBUTES, AT_FDCWD, call->a);
		return true;
	case CALL_FCHOWNAT:
	case CALL_FUTIMESAT:
	case CALL_UTIMENSAT:
	case CALL_SETXATTRAT:
	case CALL_REMOVEXATTRAT:
		set_name(deed, FILE_ATTRIBUTES, call->a, call->b);
		if (!call->b) /* the descriptor itself */
			deed->file = file_of(call->a);
		return true;
	case CALL_FCHMOD:
	case CALL_FCHOWN:
	case CALL_FSETXATTR:
	case CALL_FREMOVEXATTR:
	case CALL_IOCTL:
		deed->operation = FILE_ATTRIBUTES;
		deed->file = file_of(call->a);
		return deed->file != NULL;
	}
	return false;
}

static __noinline void on_named(struct workspace *space)
{
	struct deed *deed = begin(space, RECORD_FILE_CHANGE);
	struct file *file;

	if (!took_name(deed, &space->call) && !took_attributes(deed, &space->call))
		return;
	file = deed->file;
	if (file) {
		struct inode *inode = BPF_CORE_READ(file, f_inode);

		if (holds_no_files(BPF_CORE_READ(inode, i_sb, s_magic)) ||
		    !BPF_CORE_READ(inode, i_nlink))
			return;
	}
	report(space);
}

#endif
