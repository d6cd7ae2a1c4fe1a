/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is done again and again is told once, then added up: told with the next time after a while,
 * or by user space, which looks for what is left (deodar/agent/sensors/parts/repeats.py).
 */
#ifndef DEODAR_REPEATS_H
#define DEODAR_REPEATS_H

#include "common.h"

#define SECOND 1000000000ULL
#define LONG_SECONDS 60
#define SHORT_SECONDS 1

struct repeats {
	u64 told; /* when a record last left, boot time clock */
	u64 last; /* when it last happened */
	u64 bytes; /* since then */
	u64 times;
};

/*
 * Whether something is only to be added up. If not, what was added up before is taken out into
 * `bytes` and `times`, which begin with those of this time.
 */
static __always_inline bool is_repeat(struct repeats *repeats, u64 now, u32 seconds, u64 *bytes,
				      u64 *times)
{
	if (now - repeats->told < seconds * SECOND) {
		repeats->last = now;
		__sync_fetch_and_add(&repeats->bytes, *bytes);
		__sync_fetch_and_add(&repeats->times, *times);
		return true;
	}
	repeats->told = now;
	*bytes += __sync_lock_test_and_set(&repeats->bytes, 0);
	*times += __sync_lock_test_and_set(&repeats->times, 0);
	return false;
}

#endif
