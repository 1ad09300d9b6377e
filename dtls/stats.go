package dtls

// Stats counts what has happened since New.
type Stats struct {
	// RecordsIn are those that were opened; RecordsOut those that were sealed, with retransmissions.
	RecordsIn, RecordsOut uint64
	// BytesIn and BytesOut are application data.
	BytesIn, BytesOut uint64
	// Retransmissions is how often a flight was sent again.
	Retransmissions uint64
	// Timeouts is how often a retransmission timer has run out.
	Timeouts uint64
	// Restarts is how often a server took up a different ClientHello.
	Restarts uint64
	// KeyUpdates of either direction.
	KeyUpdates uint64

	// Records that were dropped, by reason.
	DroppedMalformed, DroppedEpoch, DroppedReplay, DroppedUnauthenticated, DroppedOverflow uint64
	// DroppedAlerts are alerts in the clear, which nobody vouches for.
	DroppedAlerts uint64
	// DroppedFragments of handshake messages that were too far ahead, too large or in a wrong epoch.
	DroppedFragments uint64
	// Suspicions is how many unauthenticated reasons to fail were held back.
	Suspicions uint64
}

// Stats returns a snapshot.
func (c *Conn) Stats() Stats { return c.stats }
