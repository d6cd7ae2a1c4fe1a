/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that concern files: their numbers, and those of 32-bit programs put into these. */
#ifndef DEODAR_FILES_CALLS_H
#define DEODAR_FILES_CALLS_H

#include "common.h"

enum call_number {
	CALL_WRITE = 1, CALL_OPEN = 2, CALL_CLOSE = 3, CALL_MMAP = 9, CALL_MPROTECT = 10,
	CALL_IOCTL = 16, CALL_PWRITE64 = 18, CALL_WRITEV = 20, CALL_DUP2 = 33, CALL_SENDFILE = 40,
	CALL_TRUNCATE = 76, CALL_FTRUNCATE = 77, CALL_RENAME = 82, CALL_MKDIR = 83, CALL_RMDIR = 84,
	CALL_CREAT = 85, CALL_LINK = 86, CALL_UNLINK = 87, CALL_SYMLINK = 88, CALL_CHMOD = 90,
	CALL_FCHMOD = 91, CALL_CHOWN = 92, CALL_FCHOWN = 93, CALL_LCHOWN = 94, CALL_UTIME = 132,
	CALL_MKNOD = 133, CALL_SETXATTR = 188, CALL_LSETXATTR = 189, CALL_FSETXATTR = 190,
	CALL_REMOVEXATTR = 197, CALL_LREMOVEXATTR = 198, CALL_FREMOVEXATTR = 199,
	CALL_UTIMES = 235, CALL_OPENAT = 257, CALL_MKDIRAT = 258, CALL_MKNODAT = 259,
	CALL_FCHOWNAT = 260, CALL_FUTIMESAT = 261, CALL_UNLINKAT = 263, CALL_RENAMEAT = 264,
	CALL_LINKAT = 265, CALL_SYMLINKAT = 266, CALL_FCHMODAT = 268, CALL_SPLICE = 275,
	CALL_UTIMENSAT = 280, CALL_FALLOCATE = 285, CALL_DUP3 = 292, CALL_PWRITEV = 296,
	CALL_OPEN_BY_HANDLE_AT = 304, CALL_RENAMEAT2 = 316, CALL_COPY_FILE_RANGE = 326,
	CALL_PWRITEV2 = 328, CALL_PKEY_MPROTECT = 329, CALL_OPENAT2 = 437, CALL_FCHMODAT2 = 452,
	CALL_SETXATTRAT = 463, CALL_REMOVEXATTRAT = 466,
};

#define X32_BIT 0x40000000u
#define BIT(number) (1ull << ((number) & 63))

/* Whether a call is one of the above, in a few instructions: most calls are not. */
static __always_inline bool concerns_files(u32 number)
{
	u64 those = 0;

	switch (number >> 6) {
	case 0:
		those = BIT(CALL_WRITE) | BIT(CALL_OPEN) | BIT(CALL_CLOSE) | BIT(CALL_MMAP) |
			BIT(CALL_MPROTECT) | BIT(CALL_IOCTL) | BIT(CALL_PWRITE64) |
			BIT(CALL_WRITEV) | BIT(CALL_DUP2) | BIT(CALL_SENDFILE);
		break;
	case 1:
		those = BIT(CALL_TRUNCATE) | BIT(CALL_FTRUNCATE) | BIT(CALL_RENAME) |
			BIT(CALL_MKDIR) | BIT(CALL_RMDIR) | BIT(CALL_CREAT) | BIT(CALL_LINK) |
			BIT(CALL_UNLINK) | BIT(CALL_SYMLINK) | BIT(CALL_CHMOD) | BIT(CALL_FCHMOD) |
			BIT(CALL_CHOWN) | BIT(CALL_FCHOWN) | BIT(CALL_LCHOWN);
		break;
	case 2:
		those = BIT(CALL_UTIME) | BIT(CALL_MKNOD) | BIT(CALL_SETXATTR) |
			BIT(CALL_LSETXATTR) | BIT(CALL_FSETXATTR);
		break;
	case 3:
		those = BIT(CALL_REMOVEXATTR) | BIT(CALL_LREMOVEXATTR) | BIT(CALL_FREMOVEXATTR) |
			BIT(CALL_UTIMES);
		break;
	case 4:
		those = BIT(CALL_OPENAT) | BIT(CALL_MKDIRAT) | BIT(CALL_MKNODAT) |
			BIT(CALL_FCHOWNAT) | BIT(CALL_FUTIMESAT) | BIT(CALL_UNLINKAT) |
			BIT(CALL_RENAMEAT) | BIT(CALL_LINKAT) | BIT(CALL_SYMLINKAT) |
			BIT(CALL_FCHMODAT) | BIT(CALL_SPLICE) | BIT(CALL_UTIMENSAT) |
			BIT(CALL_FALLOCATE) | BIT(CALL_DUP3) | BIT(CALL_PWRITEV) |
			BIT(CALL_OPEN_BY_HANDLE_AT) | BIT(CALL_RENAMEAT2);
		break;
	case 5:
		those = BIT(CALL_COPY_FILE_RANGE) | BIT(CALL_PWRITEV2) | BIT(CALL_PKEY_MPROTECT);
		break;
	case 6:
		those = BIT(CALL_OPENAT2);
		break;
	case 7:
		those = BIT(CALL_FCHMODAT2) | BIT(CALL_SETXATTRAT) | BIT(CALL_REMOVEXATTRAT);
		break;
	}
	return those >> (number & 63) & 1;
}

/* The number here of a 32-bit program's call; 0 for those that do not concern files. */
static __noinline u32 from_32_bits(u32 number)
{
	if (number >= 396) /* newer calls have one number everywhere */
		return number;
	switch (number) {
	case 4: return CALL_WRITE;
	case 5: return CALL_OPEN;
	case 6: return CALL_CLOSE;
	case 8: return CALL_CREAT;
	case 9: return CALL_LINK;
	case 10: return CALL_UNLINK;
	case 14: return CALL_MKNOD;
	case 15: return CALL_CHMOD;
	case 16: case 198: return CALL_LCHOWN;
	case 30: return CALL_UTIME;
	case 38: return CALL_RENAME;
	case 39: return CALL_MKDIR;
	case 40: return CALL_RMDIR;
	case 54: return CALL_IOCTL;
	case 63: return CALL_DUP2;
	case 83: return CALL_SYMLINK;
	case 92: case 193: return CALL_TRUNCATE;
	case 93: case 194: return CALL_FTRUNCATE;
	case 94: return CALL_FCHMOD;
	case 95: case 207: return CALL_FCHOWN;
	case 125: return CALL_MPROTECT;
	case 146: return CALL_WRITEV;
	case 181: return CALL_PWRITE64;
	case 182: case 212: return CALL_CHOWN;
	case 187: case 239: return CALL_SENDFILE;
	case 192: return CALL_MMAP;
	case 226: return CALL_SETXATTR;
	case 227: return CALL_LSETXATTR;
	case 228: return CALL_FSETXATTR;
	case 235: return CALL_REMOVEXATTR;
	case 236: return CALL_LREMOVEXATTR;
	case 237: return CALL_FREMOVEXATTR;
	case 271: return CALL_UTIMES;
	case 295: return CALL_OPENAT;
	case 296: return CALL_MKDIRAT;
	case 297: return CALL_MKNODAT;
	case 298: return CALL_FCHOWNAT;
	case 299: return CALL_FUTIMESAT;
	case 301: return CALL_UNLINKAT;
	case 302: return CALL_RENAMEAT;
	case 303: return CALL_LINKAT;
	case 304: return CALL_SYMLINKAT;
	case 306: return CALL_FCHMODAT;
	case 313: return CALL_SPLICE;
	case 320: return CALL_UTIMENSAT;
	case 324: return CALL_FALLOCATE;
	case 330: return CALL_DUP3;
	case 334: return CALL_PWRITEV;
	case 342: return CALL_OPEN_BY_HANDLE_AT;
	case 353: return CALL_RENAMEAT2;
	case 377: return CALL_COPY_FILE_RANGE;
	case 379: return CALL_PWRITEV2;
	case 380: return CALL_PKEY_MPROTECT;
	}
	return 0;
}

struct call {
	u32 number;
	u32 reserved;
	u64 a, b, c, d, e; /* its arguments */
	s64 result;
};

static __always_inline bool is_32_bits(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static __always_inline u32 number_of(struct task_struct *task, struct pt_regs *regs)
{
	unsigned long number = regs->orig_ax;

	return is_32_bits(task) ? from_32_bits(number) : number & ~X32_BIT;
}

static __always_inline bool ended_well(long result)
{
	return (u64)result < (u64)-4095;
}

static __always_inline void put_call(struct call *call, u32 number, struct task_struct *task,
				     struct pt_regs *regs, long result)
{
	call->number = number;
	call->result = result;
	if (is_32_bits(task)) {
		call->a = (u32)regs->bx;
		call->b = (u32)regs->cx;
		call->c = (u32)regs->dx;
		call->d = (u32)regs->si;
		call->e = (u32)regs->di;
	} else {
		call->a = regs->di;
		call->b = regs->si;
		call->c = regs->dx;
		call->d = regs->r10;
		call->e = regs->r8;
	}
}

#endif
