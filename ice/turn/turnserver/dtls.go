package turnserver

import (
	"net/netip"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/dtls/dtlsio"
	"github.com/openparley/webrtc/ice/turn"
)

// hide puts DTLS under a listener's sockets: what is read and written is as on any other.
func (s *Server) hide(l *listener) error {
	configure := func() (dtls.Config, error) { return dtlsio.ServerFromTLS(s.cfg.TLS) }
	if _, err := configure(); err != nil {
		return err
	}
	l.sessions = dtlsio.NewServer(dtlsio.ServerConfig{
		Config: configure, MaxSessions: s.cfg.MaxStreams, MaxHandshakes: s.cfg.MaxStrangers,
		// An allocation ends with its connection, as over TCP.
		Ended: func(local netip.Addr, remote netip.AddrPort) {
			client := turn.FiveTuple{Listener: l.id, Remote: remote}
			if l.wildcard {
				client.Local = local
			}
			s.control(func(now time.Time) { s.engine.HandleDisconnect(now, client) })
		},
	})
	for i, conn := range l.conns {
		l.conns[i] = l.sessions.Wrap(conn)
	}
	return nil
}
