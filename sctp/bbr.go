package sctp

import "time"

func newBBR(mtu int, _ time.Duration) congestion { return newCubic(mtu) }
