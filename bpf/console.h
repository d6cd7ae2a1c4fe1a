/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is typed at terminals, and what comes through a pipe or a socket into a shell.
 *
 * A terminal that edits lines but does not show them asks for a password: that is not read.
 */
#ifndef DEODAR_CONSOLE_H
#define DEODAR_CONSOLE_H

#include "calls.h"
#include "fds.h"

#define PIPE_BUDGET 16384 /* bytes told of one process that reads its script from a pipe */
#define SOCKET_BUDGET 65536 /* bytes told in a minute of one that reads from a socket */
#define MINUTE (60ULL * 1000000000)
#define PENDING_BYTES 256
#define PIECES 4 /* of CONSOLE_BYTES each, of one read from a pipe */
#define INTERRUPT_CHARACTER 3
#define BY_THE_KERNEL 1UL /* SEND_SIG_PRIV: as a terminal sends its signals */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct console_record);
} console_scratch SEC(".maps");

/* Names of programs that run what comes in at their standard input; user space fills it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, char[16]);
	__type(value, u8);
} shells SEC(".maps");

struct piped {
	u64 minute; /* when the budget of a socket was begun */
	u64 untold;
	u32 told;
	u32 source;
	u32 pending; /* bytes in `text`: a shell reads a pipe byte by byte */
	u32 reserved;
	u8 text[PENDING_BYTES];
};

/* Shells whose standard input was a pipe or a socket when they began, by process id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct piped);
} piped_map SEC(".maps");

/* What a new entry is copied from, since it is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct piped);
} piped_empty SEC(".maps");

static __always_inline void set_console(struct console_record *record, struct task_struct *task,
					u32 source)
{
	set_head(&record->head, RECORD_CONSOLE, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->source = source;
	record->flags = 0;
	record->kept = 0;
	record->reserved = 0;
	record->untold = 0;
	__builtin_memset(record->terminal, 0, sizeof(record->terminal));
}

static __always_inline struct console_record *begin_console(u32 source)
{
	u32 zero = 0;
	struct console_record *record = bpf_map_lookup_elem(&console_scratch, &zero);

	if (record)
		set_console(record, bpf_get_current_task_btf(), source);
	return record;
}

static __always_inline void end_console(struct console_record *record)
{
	u32 size = sizeof(*record) - CONSOLE_BYTES + record->kept;

	if (size > sizeof(*record))
		return;
	count(RECORD_CONSOLE, bpf_ringbuf_output(&ring, record, size, wake_flags(RECORD_CONSOLE)));
}

/* Majors of terminals, but not the side of a pseudo-terminal that shows what programs write. */
static __always_inline bool is_terminal(u32 device)
{
	u32 major = device >> 20;

	if (major == 5)
		return device != ((5 << 20) | 2);
	return major == 4 || (major >= 136 && major <= 143) || major == 188 || major == 204 ||
	       major == 229;
}

static __always_inline void on_terminal(const struct call *call, struct file *file, u64 data,
					u64 bytes)
{
	struct tty_file_private *opened = BPF_CORE_READ(file, private_data);
	struct tty_struct *tty = BPF_CORE_READ(opened, tty);
	u32 mode = BPF_CORE_READ(tty, termios.c_lflag);
	struct console_record *record;
	u32 kept = at_most(bytes, CONSOLE_BYTES);

	if ((mode & ICANON) && !(mode & ECHO))
		return;
	record = begin_console(FROM_TERMINAL);
	if (!record)
		return;
	if (kept > CONSOLE_BYTES || bpf_probe_read_user(record->payload, kept, (void *)data))
		return;
	record->kept = kept;
	record->flags = (mode & ICANON ? INPUT_COOKED : 0) | (kept < bytes ? INPUT_CUT : 0);
	bpf_core_read_str(record->terminal, sizeof(record->terminal), &tty->name);
	end_console(record);
}

static __always_inline void flush_pending(struct piped *piped, u32 flags)
{
	struct console_record *record = begin_console(piped->source);
	u32 kept = at_most(piped->pending, PENDING_BYTES);

	if (!record || kept > PENDING_BYTES)
		return;
	bpf_probe_read_kernel(record->payload, kept, piped->text);
	record->kept = kept;
	record->flags = flags;
	record->untold = piped->untold;
	piped->untold = 0;
	piped->pending = 0;
	end_console(record);
}

static __always_inline bool has_budget(struct piped *piped)
{
	u64 now;

	if (piped->source == FROM_PIPE)
		return piped->told < PIPE_BUDGET;
	if (piped->told < SOCKET_BUDGET)
		return true;
	now = bpf_ktime_get_boot_ns();
	if (now - piped->minute < MINUTE)
		return false;
	piped->minute = now;
	piped->told = 0;
	return true;
}

static __always_inline void keep_byte(struct piped *piped, u64 data)
{
	u32 at = piped->pending & (PENDING_BYTES - 1);

	if (bpf_probe_read_user(&piped->text[at], 1, (void *)data))
		return;
	piped->pending = at + 1;
	if (piped->text[at] == '\n' || at + 1 == PENDING_BYTES)
		flush_pending(piped, 0);
}

static __always_inline void tell_pieces(struct piped *piped, u64 data, u64 bytes)
{
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		struct console_record *record;
		u32 kept = at_most(bytes, CONSOLE_BYTES);

		if (!kept)
			return;
		record = begin_console(piped->source);
		if (!record || kept > CONSOLE_BYTES)
			return;
		if (bpf_probe_read_user(record->payload, kept, (void *)data))
			return;
		record->kept = kept;
		end_console(record);
		data += kept;
		bytes -= kept;
	}
	piped->untold += bytes;
}

/* A read from the standard input that is no terminal. */
static __always_inline void on_piped(u64 data, u64 bytes)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct piped *piped = bpf_map_lookup_elem(&piped_map, &pid);

	if (!piped)
		return;
	if (!bytes) {
		flush_pending(piped, INPUT_END);
		bpf_map_delete_elem(&piped_map, &pid);
		return;
	}
	if (!has_budget(piped)) {
		piped->untold += bytes;
		return;
	}
	piped->told += bytes;
	if (bytes == 1) {
		keep_byte(piped, data);
		return;
	}
	if (piped->pending)
		flush_pending(piped, 0);
	tell_pieces(piped, data, bytes);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(deodar_piped, struct task_struct *task, s32 old_pid, struct linux_binprm *bprm)
{
	u32 pid = task->tgid, zero = 0, mode;
	char comm[16] = {};
	struct piped *empty, *piped;
	struct file *file;

	bpf_get_current_comm(comm, sizeof(comm));
	if (!bpf_map_lookup_elem(&shells, comm)) {
		bpf_map_delete_elem(&piped_map, &pid);
		return 0;
	}
	file = file_of(0);
	mode = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
	empty = bpf_map_lookup_elem(&piped_empty, &zero);
	if (!empty || (mode != S_IFIFO && mode != S_IFSOCK)) {
		bpf_map_delete_elem(&piped_map, &pid);
		return 0;
	}
	bpf_map_update_elem(&piped_map, &pid, empty, BPF_ANY);
	piped = bpf_map_lookup_elem(&piped_map, &pid);
	if (piped) {
		piped->source = mode == S_IFIFO ? FROM_PIPE : FROM_SOCKET;
		piped->minute = bpf_ktime_get_boot_ns();
	}
	return 0;
}

/* Ctrl-C at a terminal: no read returns it, but what was typed before it is given up. */
SEC("tp_btf/signal_generate")
int BPF_PROG(deodar_interrupt, int signal, void *info, struct task_struct *task)
{
	struct console_record *record;
	struct tty_struct *tty;

	if (signal != SIGINT || (unsigned long)info != BY_THE_KERNEL)
		return 0;
	tty = task->signal->tty;
	if (!tty || is_own(task->tgid))
		return 0;
	/* Not the scratch: a signal may come in an interrupt, while that is in use. */
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) - CONSOLE_BYTES + 1, 0);
	count(RECORD_CONSOLE, !record);
	if (!record)
		return 0;
	set_console(record, task, FROM_TERMINAL);
	record->payload[0] = INTERRUPT_CHARACTER;
	record->kept = 1;
	bpf_core_read_str(record->terminal, sizeof(record->terminal), &tty->name);
	bpf_ringbuf_submit(record, wake_flags(RECORD_CONSOLE));
	return 0;
}

#endif
