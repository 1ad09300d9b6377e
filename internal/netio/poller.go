package netio

import (
	"errors"
	"net/netip"
	"time"
)

// Polling is a Network that can read many sockets with one goroutine.
type Polling interface {
	// NewPoller makes a Poller without sockets. While datagrams come one by one and
	// so closely that several would come in the time gather, Read lets that time
	// pass before it takes what has come meanwhile: to wake a thread for each of them
	// costs more than what it does with them. Zero: it takes what there is at once.
	NewPoller(gather time.Duration) (Poller, error)

	// ListenUDPGroup opens a socket for each of at least one poller, as the function
	// of that name opens one for each reader.
	ListenUDPGroup(local netip.AddrPort, pollers []Poller, tag uint64) ([]PacketConn, error)
}

// Poller reads many sockets with one goroutine, which waits for all of them at
// once: for servers with a socket for each client, where a goroutine for each
// would be woken for single datagrams, and wake others to look for more work.
type Poller interface {
	// ListenUDP opens a socket as that of Network does. It is Read that reads it: its
	// ReadBatch returns ErrPolled. Safe for concurrent use.
	ListenUDP(local netip.AddrPort, tag uint64) (PacketConn, error)

	// Read waits until sockets have datagrams, and calls f for each of these with
	// its tag and some of what it has. The messages are valid until the next Read.
	// What a socket had when it was closed may still come. One goroutine at a time,
	// which calls again until there is an error: ErrClosed after Close, or another one,
	// which closes the poller.
	Read(f func(tag uint64, msgs []Message)) error

	// Close ends a waiting Read, and those to come. The sockets are not read any more,
	// and are to be closed by themselves. Closing again does nothing.
	Close() error
}

// ErrPolled is what ReadBatch returns of a socket that a Poller reads.
var ErrPolled = errors.New("netio: socket of a poller")
