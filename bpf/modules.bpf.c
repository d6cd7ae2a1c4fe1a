// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The part `modules`: the names of kernel modules that are taken in and given up, in the process
 * that wants it. Kernels built without modules have not got these tracepoints and refuse the part.
 */
#include "module_records.h"
#include "common.h"

static __always_inline int tell(u32 operation, struct module *module)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct module_seen_record *record;

	if (is_own(task->tgid))
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	count(RECORD_MODULES, !record);
	if (!record)
		return 0;
	set_head(&record->head, RECORD_MODULES, task);
	record->head.time = bpf_ktime_get_boot_ns();
	record->taints = module->taints;
	record->operation = operation;
	record->reserved = 0;
	__builtin_memset(record->name, 0, sizeof(record->name));
	bpf_probe_read_kernel_str(record->name, sizeof(record->name), &module->name);
	bpf_ringbuf_submit(record, wake_flags(RECORD_MODULES));
	return 0;
}

SEC("tp_btf/module_load")
int BPF_PROG(deodar_module_load, struct module *module)
{
	return tell(MODULE_LOAD, module);
}

SEC("tp_btf/module_free")
int BPF_PROG(deodar_module_free, struct module *module)
{
	return tell(MODULE_UNLOAD, module);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
