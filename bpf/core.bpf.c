// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The core tier: processes and TCP.
 *
 * Five records leave through one ring: exec, fork, exit, connection, listen. All that can be known
 * about a process is read here, at exec: a short process is gone before user space looks. Needs
 * tp_btf programs, CO-RE in the kernel and bpf_loop (Linux 5.17); no tracefs, no kprobes.
 */
#include "exec.h"
#include "life.h"
#include "tcp.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
