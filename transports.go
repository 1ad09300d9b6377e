package webrtc

import "slices"

// SCTP returns the transport of the data channels, or nil before they were negotiated, and after a negotiation has rejected
// their section. A section that is negotiated after that has another transport. W3C: RTCPeerConnection.sctp.
func (pc *PeerConnection) SCTP() *SCTPTransport { return get(&pc.mu, &pc.sctp) }

// An SCTPTransport carries the data channels of a connection, over one association. W3C: RTCSctpTransport.
type SCTPTransport struct {
	pc *PeerConnection // immutable

	// Guarded by pc.mu.
	state          SCTPTransportState
	maxMessageSize int
}

// State returns the state of the association.
func (s *SCTPTransport) State() SCTPTransportState { return get(&s.pc.mu, &s.state) }

// Transport returns the DTLS transport below.
func (s *SCTPTransport) Transport() *DTLSTransport { return &DTLSTransport{s.pc} }

// MaxMessageSize is the largest message that Send takes, in bytes; zero: no limit but the send buffer's.
func (s *SCTPTransport) MaxMessageSize() int { return get(&s.pc.mu, &s.maxMessageSize) }

// A DTLSTransport is the encryption of a connection. W3C: RTCDtlsTransport.
type DTLSTransport struct{ pc *PeerConnection }

// State returns the state of DTLS.
func (d *DTLSTransport) State() DTLSTransportState { return get(&d.pc.mu, &d.pc.dtlsState) }

// ICETransport returns the ICE transport below.
func (d *DTLSTransport) ICETransport() *ICETransport { return &ICETransport{d.pc} }

// GetRemoteCertificates returns the peer's certificate chain in DER, leaf first; nil before the handshake.
func (d *DTLSTransport) GetRemoteCertificates() [][]byte {
	if ok := d.pc.transport.lock(); !ok {
		return nil
	}
	defer d.pc.transport.mu.Unlock()
	var chain [][]byte
	for _, der := range d.pc.transport.engine.secure.peer {
		chain = append(chain, slices.Clone(der))
	}
	return chain
}

// An ICETransport is the path of a connection. W3C: RTCIceTransport.
type ICETransport struct{ pc *PeerConnection }

// Role returns the role, zero before negotiation.
func (i *ICETransport) Role() ICERole { return get(&i.pc.mu, &i.pc.iceRole) }

// State returns the state of ICE.
func (i *ICETransport) State() ICEConnectionState { return i.pc.ICEConnectionState() }

// GetSelectedCandidatePair returns the pair that packets take, or nil.
func (i *ICETransport) GetSelectedCandidatePair() *ICECandidatePair {
	return get(&i.pc.mu, &i.pc.selectedPair)
}

// Transport returns the DTLS transport that the sender's packets take.
func (s *RTPSender) Transport() *DTLSTransport { return &DTLSTransport{s.pc} }

// Transport returns the DTLS transport that the receiver's packets take.
func (r *RTPReceiver) Transport() *DTLSTransport { return &DTLSTransport{r.pc} }

// DTLSState returns the state of DTLS, which DTLSTransport.State returns too.
func (pc *PeerConnection) DTLSState() DTLSTransportState { return get(&pc.mu, &pc.dtlsState) }
