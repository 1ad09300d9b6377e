// Package jsep is offer/answer for WebRTC as plain functions: the state machine of RFC 9429 (JSEP) and of webrtc-pc
// §4.4 and §4.7, with unified plan, one BUNDLE transport and rtcp-mux.
//
// A [Session] knows descriptions, transceivers (plain data) and codecs; it knows nothing of sockets, tracks as objects,
// events or time. It takes no lock: the caller serialises the calls. Randomness comes from Config.Rand, so that a run
// from a seed repeats. Every method that fails leaves the session as it was.
//
// The sequence of an offerer:
//
//	s, _ := jsep.New(jsep.Config{Capabilities: caps, Rand: rand, BundlePolicy: jsep.BundleBalanced})
//	t, _ := s.AddTransceiver(jsep.KindAudio, jsep.TransceiverInit{Direction: sdp.SendRecv, Track: "mic", Streams: []string{"s"}})
//	s.EnableData()                                  // the first CreateDataChannel
//	if s.CheckNegotiationNeeded() { … fire negotiationneeded … }
//
//	offer, _ := s.CreateOffer(jsep.OfferOptions{}, local)          // local: the fingerprints of the certificates
//	fx, _ := s.SetLocal(offer, local)               // fx.Transport.LocalChanged: give fx.Transport.Local to ICE and gather
//	s.AddLocalCandidate(ufrag, candidate)           // each one gathered, then EndOfLocalCandidates
//	fx, _ = s.SetRemote(answer)                     // fx.Transport.Ready: start ICE with .Remote, then DTLS in .DTLSRole
//	use, _ := s.AddRemoteCandidate(candidate)       // use.Deliver: hand it to ICE
//
// The sequence of an answerer:
//
//	fx, _ := s.SetRemote(offer)                     // fx.TracksAdded …: track events, as W3C, before the answer
//	answer, _ := s.CreateAnswer(jsep.AnswerOptions{}, local)
//	fx, _ = s.SetLocal(answer, local)               // fx.Transport.Ready, LocalChanged; fx.Flows; fx.Data
//
// SetLocal with the zero Description is setLocalDescription() without argument. SetRemote of an offer in
// have-local-offer rolls back first (perfect negotiation); both take Description{Type: TypeRollback}.
//
// What a caller does with [Effects], in this order: stop and remove transceivers, apply Transport, Flows and Data to the
// transport, then the notices: signaling state, tracks muted, streams, tracks added. Transport, Flows and Data are whole
// snapshots, not differences: applying them again changes nothing.
//
// Deviates:
//   - There is one transport. A section that an offer leaves out of its BUNDLE group is rejected, one that an answer accepts
//     outside of it is stopped (RFC 9429 §4.1.1 would give each its own transport). rtcp-mux is required.
//   - Every section carries the transport's attributes, as browsers write them, not only the tagged one (RFC 8843 §7.1.3).
//   - a=ssrc lines with cname and msid are written for senders without RIDs, for peers that look for them.
//   - There is one DTLS association, and the first answer begins it, be it provisional (RFC 8842 §4 would make another). After
//     that a description with the fingerprint of another certificate is refused with OperationError, and so is an answer
//     that follows a provisional one with the DTLS roles turned round. Once a final answer has settled the role, what
//     later ones say of it is not looked at: some peers answer "active" whatever they are.
//   - A transceiver that was never in a description is stopped by StopTransceiver at once.
//   - Data channels whose section either side has rejected are offered again only after another EnableData.
//   - The generation that a rolled back first offer gathered for is used on by the answer that follows.
package jsep
