package ready

import "google.golang.org/grpc/mem"

// Buffers is where grpc takes memory for messages from. Its own pool has nothing
// between 32 KiB and 1 MiB: a message of 64 KiB costs 1 MiB there, and the time
// to clear it. The sizes leave room for what is around a round number of bytes.
var Buffers = mem.NewTieredBufferPool( //nolint:gochecknoglobals // shared, as grpc's own is
	256, 4<<10, 16<<10, roomy(32), roomy(64), roomy(128), roomy(256), roomy(512), roomy(1024),
)

// roomy returns so many KiB and a bit more.
func roomy(kib int) int { return kib<<10 + kib<<5 }
