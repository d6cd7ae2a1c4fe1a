/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What processes bring into the kernel of eBPF, as the kernel has it: from the object behind the
 * descriptor, not from what the process passed.
 */
#ifndef DEODAR_BPF_USE_H
#define DEODAR_BPF_USE_H

#include "calls.h"
#include "fds.h"

#define CMD_MAP_CREATE 0
#define CMD_PROG_LOAD 5
#define CMD_PROG_ATTACH 8
#define CMD_RAW_TRACEPOINT_OPEN 17
#define CMD_LINK_CREATE 28
#define CMD_LINK_UPDATE 29

#define PERF_EVENT_IOC_SET_BPF 0x40042408
#define SOL_SOCKET 1
#define SO_ATTACH_BPF 50
#define SO_ATTACH_REUSEPORT_EBPF 52

/* "bpf-prog", "bpf-map" with its NUL, "bpf_link": names of the kernel's, little-endian. */
#define PROGRAM_OBJECT 0x676f72702d667062ULL
#define MAP_OBJECT 0x0070616d2d667062ULL
#define LINK_OBJECT 0x6b6e696c5f667062ULL
#define LINK_OBJECT_DASH 0x6b6e696c2d667062ULL

static __always_inline struct bpf_prog *program_of(u32 fd)
{
	struct file *file = file_of(fd);

	return is_object(file, PROGRAM_OBJECT) ? BPF_CORE_READ(file, private_data) : 0;
}

static __always_inline struct bpf_link *link_of(u32 fd)
{
	struct file *file = file_of(fd);

	if (is_object(file, LINK_OBJECT) || is_object(file, LINK_OBJECT_DASH))
		return BPF_CORE_READ(file, private_data);
	return 0;
}

static __always_inline struct bpf_record *begin_bpf(u32 command, u32 type)
{
	struct bpf_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	count(RECORD_BPF, !record);
	if (!record)
		return 0;
	set_head(&record->head, RECORD_BPF, bpf_get_current_task_btf());
	record->head.time = bpf_ktime_get_boot_ns();
	record->command = command;
	record->type = type;
	record->id = 0;
	record->reserved = 0;
	__builtin_memset(record->name, 0, sizeof(record->name));
	__builtin_memset(record->target, 0, sizeof(record->target));
	return record;
}

static __noinline int tell_program(u32 command, u32 type, struct bpf_prog *program)
{
	struct bpf_prog_aux *aux = BPF_CORE_READ(program, aux);
	struct bpf_record *record = begin_bpf(command, type);

	if (!record)
		return 0;
	record->id = BPF_CORE_READ(aux, id);
	bpf_probe_read_kernel_str(record->name, sizeof(record->name), &aux->name);
	bpf_probe_read_kernel_str(record->target, sizeof(record->target),
				  BPF_CORE_READ(aux, attach_func_name));
	bpf_ringbuf_submit(record, wake_flags(RECORD_BPF));
	return 0;
}

static __always_inline void on_map(u32 fd)
{
	struct file *file = file_of(fd);
	struct bpf_map *map = is_object(file, MAP_OBJECT) ? BPF_CORE_READ(file, private_data) : 0;
	struct bpf_record *record = begin_bpf(BPF_MAP, BPF_CORE_READ(map, map_type));

	if (!record)
		return;
	record->id = BPF_CORE_READ(map, id);
	bpf_probe_read_kernel_str(record->name, sizeof(record->name), &map->name);
	bpf_ringbuf_submit(record, wake_flags(RECORD_BPF));
}

static __always_inline void on_program(u32 fd)
{
	struct bpf_prog *program = program_of(fd);

	tell_program(BPF_PROGRAM, BPF_CORE_READ(program, type), program);
}

static __always_inline void on_link(u32 fd)
{
	struct bpf_link *link = link_of(fd);

	tell_program(BPF_LINK, BPF_CORE_READ(link, type), BPF_CORE_READ(link, prog));
}

/* There is no object of an attachment, so its type is the one that the process passed. */
static __always_inline void on_attach(u64 attributes, u32 bytes)
{
	struct {
		u32 target, program, type;
	} passed = {};

	if (bytes >= sizeof(passed))
		bpf_probe_read_user(&passed, sizeof(passed), (void *)attributes);
	tell_program(BPF_ATTACHMENT, passed.type, program_of(passed.program));
}

/* Another program takes the place of a link's. */
static __always_inline void on_link_update(u64 attributes)
{
	u32 fd = ~0u;

	bpf_probe_read_user(&fd, sizeof(fd), (void *)attributes);
	on_link(fd);
}

static __always_inline void on_bpf(const struct call *call)
{
	if (call->ret < 0)
		return;
	switch ((u32)call->args[0]) {
	case CMD_MAP_CREATE:
		on_map(call->ret);
		break;
	case CMD_PROG_LOAD:
		on_program(call->ret);
		break;
	case CMD_LINK_CREATE:
	case CMD_RAW_TRACEPOINT_OPEN:
		on_link(call->ret);
		break;
	case CMD_LINK_UPDATE:
		on_link_update(call->args[1]);
		break;
	case CMD_PROG_ATTACH:
		on_attach(call->args[1], call->args[2]);
		break;
	}
}

/* A program is attached to a perf event: the older way of kprobes and tracepoints. */
static __always_inline void on_ioctl(const struct call *call)
{
	struct bpf_prog *program;

	if ((u32)call->args[1] != PERF_EVENT_IOC_SET_BPF || call->ret)
		return;
	program = program_of(call->args[2]);
	if (program)
		tell_program(BPF_PERF_EVENT, BPF_CORE_READ(program, type), program);
}

/* A program is attached to a socket. */
static __always_inline void on_setsockopt(const struct call *call)
{
	struct bpf_prog *program;
	u32 option = call->args[2];
	u32 fd = ~0u;

	if ((u32)call->args[1] != SOL_SOCKET || call->ret)
		return;
	if (option != SO_ATTACH_BPF && option != SO_ATTACH_REUSEPORT_EBPF)
		return;
	bpf_probe_read_user(&fd, sizeof(fd), (void *)call->args[3]);
	program = program_of(fd);
	tell_program(BPF_SOCKET, BPF_CORE_READ(program, type), program);
}

#endif
