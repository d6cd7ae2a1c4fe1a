/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a file changed, of an inode that the verifier does not know: each field by a helper. */
#ifndef DEODAR_TIMES_H
#define DEODAR_TIMES_H

#include "common.h"

static __always_inline s64 time_ns(s64 seconds, u32 ns)
{
	return seconds * 1000000000LL + (ns & 0x3fffffff); /* bit 31 of ctime is the kernel's own */
}

#define TIME_OF(inode, field) \
	time_ns(BPF_CORE_READ(inode, field.tv_sec), BPF_CORE_READ(inode, field.tv_nsec))

static __always_inline void read_times(s64 *mtime, s64 *ctime, struct inode *inode)
{
	struct inode___2024 *latest = (void *)inode;
	struct inode___2023 *newer = (void *)inode;
	struct inode___ctime *between = (void *)inode;
	struct inode___old *old = (void *)inode;

	if (bpf_core_field_exists(latest->i_mtime_sec)) {
		*mtime = time_ns(BPF_CORE_READ(latest, i_mtime_sec),
				 BPF_CORE_READ(latest, i_mtime_nsec));
		*ctime = time_ns(BPF_CORE_READ(latest, i_ctime_sec),
				 BPF_CORE_READ(latest, i_ctime_nsec));
	} else if (bpf_core_field_exists(newer->__i_mtime)) {
		*mtime = TIME_OF(newer, __i_mtime);
		*ctime = TIME_OF(newer, __i_ctime);
	} else if (bpf_core_field_exists(between->__i_ctime)) {
		*mtime = TIME_OF(between, i_mtime);
		*ctime = TIME_OF(between, __i_ctime);
	} else {
		*mtime = TIME_OF(old, i_mtime);
		*ctime = TIME_OF(old, i_ctime);
	}
}

#endif
