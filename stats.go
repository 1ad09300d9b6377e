package webrtc

// A StatsReport maps ids to statistics objects; each is a pointer to one of the …Stats types of this package. Its JSON
// form is the browser's. W3C: RTCStatsReport.
type StatsReport map[string]Stats

// Stats is one statistics object.
type Stats interface {
	// ID is the object's key in the report; it stays the same from report to report.
	ID() string
}

// StatsType names the kind of a statistics object, in W3C's words ("inbound-rtp").
type StatsType string

// The kinds of statistics objects that reports have.
const (
	StatsTypeCodec             StatsType = "codec"
	StatsTypeInboundRTP        StatsType = "inbound-rtp"
	StatsTypeOutboundRTP       StatsType = "outbound-rtp"
	StatsTypeRemoteInboundRTP  StatsType = "remote-inbound-rtp"
	StatsTypeRemoteOutboundRTP StatsType = "remote-outbound-rtp"
	StatsTypePeerConnection    StatsType = "peer-connection"
	StatsTypeDataChannel       StatsType = "data-channel"
	StatsTypeTransport         StatsType = "transport"
	StatsTypeSCTPTransport     StatsType = "sctp-transport"
	StatsTypeCandidatePair     StatsType = "candidate-pair"
	StatsTypeLocalCandidate    StatsType = "local-candidate"
	StatsTypeRemoteCandidate   StatsType = "remote-candidate"
	StatsTypeCertificate       StatsType = "certificate"
)

// StatsCommon is what every object has. W3C: RTCStats.
type StatsCommon struct {
	// Timestamp in milliseconds since 1970.
	Timestamp float64   `json:"timestamp"`
	Type      StatsType `json:"type"`
	Key       string    `json:"id"`
}

// ID implements Stats.
func (s *StatsCommon) ID() string { return s.Key }

// PeerConnectionStats is W3C's RTCPeerConnectionStats.
type PeerConnectionStats struct {
	StatsCommon
	DataChannelsOpened uint64 `json:"dataChannelsOpened"`
	DataChannelsClosed uint64 `json:"dataChannelsClosed"`
}

// TransportStats is W3C's RTCTransportStats. Bytes and packets are whole UDP payloads.
type TransportStats struct {
	StatsCommon
	PacketsSent                  uint64 `json:"packetsSent"`
	PacketsReceived              uint64 `json:"packetsReceived"`
	BytesSent                    uint64 `json:"bytesSent"`
	BytesReceived                uint64 `json:"bytesReceived"`
	ICERole                      string `json:"iceRole"`
	ICELocalUsernameFragment     string `json:"iceLocalUsernameFragment"`
	ICEState                     string `json:"iceState"`
	DTLSState                    string `json:"dtlsState"`
	SelectedCandidatePairID      string `json:"selectedCandidatePairId,omitempty"`
	LocalCertificateID           string `json:"localCertificateId,omitempty"`
	RemoteCertificateID          string `json:"remoteCertificateId,omitempty"`
	TLSVersion                   string `json:"tlsVersion,omitempty"` // "FEFD", as on the wire
	DTLSCipher                   string `json:"dtlsCipher,omitempty"`
	DTLSRole                     string `json:"dtlsRole,omitempty"`
	SRTPCipher                   string `json:"srtpCipher,omitempty"`
	SelectedCandidatePairChanges int    `json:"selectedCandidatePairChanges"`
	// DTLSGroup is the key exchange ("X25519MLKEM768"). Not W3C's.
	DTLSGroup string `json:"dtlsGroup,omitempty"`
	// PacketsDropped counts datagrams that were no packet of this connection, or broken ones. Not W3C's.
	PacketsDropped uint64 `json:"packetsDropped"`
}

// SCTPTransportStats is W3C's RTCSctpTransportStats, and what else the association counts.
type SCTPTransportStats struct {
	StatsCommon
	TransportID           string  `json:"transportId"`
	SmoothedRoundTripTime float64 `json:"smoothedRoundTripTime"` // seconds
	CongestionWindow      int     `json:"congestionWindow"`
	ReceiverWindow        int     `json:"receiverWindow"`
	MTU                   int     `json:"mtu"`
	UnackData             int     `json:"unackData"` // bytes in flight
	// The following are not W3C's.
	PacketsSent         uint64 `json:"packetsSent"`
	PacketsReceived     uint64 `json:"packetsReceived"`
	ChunksRetransmitted uint64 `json:"chunksRetransmitted"`
}

// ICECandidatePairStats is W3C's RTCIceCandidatePairStats.
type ICECandidatePairStats struct {
	StatsCommon
	TransportID          string  `json:"transportId"`
	LocalCandidateID     string  `json:"localCandidateId"`
	RemoteCandidateID    string  `json:"remoteCandidateId"`
	State                string  `json:"state"`
	Nominated            bool    `json:"nominated"`
	Selected             bool    `json:"selected"`
	Priority             uint64  `json:"priority"`
	TotalRoundTripTime   float64 `json:"totalRoundTripTime"` // seconds
	CurrentRoundTripTime float64 `json:"currentRoundTripTime"`
	RequestsSent         uint64  `json:"requestsSent"`
	RequestsReceived     uint64  `json:"requestsReceived"`
	ResponsesSent        uint64  `json:"responsesSent"`
	ResponsesReceived    uint64  `json:"responsesReceived"`
	ConsentRequestsSent  uint64  `json:"consentRequestsSent"`
}

// ICECandidateStats is W3C's RTCIceCandidateStats.
type ICECandidateStats struct {
	StatsCommon
	TransportID      string `json:"transportId"`
	Address          string `json:"address"`
	Port             uint16 `json:"port"`
	Protocol         string `json:"protocol"`
	CandidateType    string `json:"candidateType"`
	Priority         uint32 `json:"priority"`
	Foundation       string `json:"foundation"`
	URL              string `json:"url,omitempty"`
	RelayProtocol    string `json:"relayProtocol,omitempty"`
	RelatedAddress   string `json:"relatedAddress,omitempty"`
	RelatedPort      uint16 `json:"relatedPort,omitempty"`
	UsernameFragment string `json:"usernameFragment,omitempty"`
	TCPType          string `json:"tcpType,omitempty"`
}

// CertificateStats is W3C's RTCCertificateStats.
type CertificateStats struct {
	StatsCommon
	Fingerprint          string `json:"fingerprint"`
	FingerprintAlgorithm string `json:"fingerprintAlgorithm"`
	Base64Certificate    string `json:"base64Certificate"`
}

// CodecStats is W3C's RTCCodecStats.
type CodecStats struct {
	StatsCommon
	TransportID string `json:"transportId"`
	PayloadType uint8  `json:"payloadType"`
	MimeType    string `json:"mimeType"`
	ClockRate   uint32 `json:"clockRate"`
	Channels    uint16 `json:"channels,omitempty"`
	SDPFmtpLine string `json:"sdpFmtpLine,omitempty"`
}

// RTPStreamStats is what the four kinds of RTP streams have in common. W3C: RTCRtpStreamStats.
type RTPStreamStats struct {
	StatsCommon
	SSRC        uint32 `json:"ssrc"`
	Kind        string `json:"kind"`
	TransportID string `json:"transportId"`
	CodecID     string `json:"codecId,omitempty"`
}

// InboundRTPStreamStats is W3C's RTCInboundRtpStreamStats, its network part.
type InboundRTPStreamStats struct {
	RTPStreamStats
	Mid string `json:"mid"`
	// RID is the simulcast layer, as TrackRemote.RID has it; empty without simulcast. W3C has it for streams that are sent only:
	// browsers receive no simulcast.
	RID                          string  `json:"rid,omitempty"`
	RemoteID                     string  `json:"remoteId,omitempty"`
	TrackIdentifier              string  `json:"trackIdentifier"`
	PacketsReceived              uint64  `json:"packetsReceived"`
	PacketsLost                  int64   `json:"packetsLost"`
	Jitter                       float64 `json:"jitter"` // seconds
	BytesReceived                uint64  `json:"bytesReceived"`
	HeaderBytesReceived          uint64  `json:"headerBytesReceived"`
	LastPacketReceivedTimestamp  float64 `json:"lastPacketReceivedTimestamp,omitempty"`
	RetransmittedPacketsReceived uint64  `json:"retransmittedPacketsReceived"`
	RetransmittedBytesReceived   uint64  `json:"retransmittedBytesReceived"`
	FramesReceived               uint64  `json:"framesReceived"`
	NACKCount                    uint32  `json:"nackCount"`
	PLICount                     uint32  `json:"pliCount"`
	FIRCount                     uint32  `json:"firCount"`
	// PacketsDiscarded counts packets that nobody read in time.
	PacketsDiscarded uint64 `json:"packetsDiscarded"`
}

// RemoteOutboundRTPStreamStats is W3C's RTCRemoteOutboundRtpStreamStats: what the peer's sender reports say.
type RemoteOutboundRTPStreamStats struct {
	RTPStreamStats
	LocalID         string  `json:"localId"`
	PacketsSent     uint32  `json:"packetsSent"`
	BytesSent       uint32  `json:"bytesSent"`
	RemoteTimestamp float64 `json:"remoteTimestamp"`
	ReportsSent     uint64  `json:"reportsSent"`
}

// OutboundRTPStreamStats is W3C's RTCOutboundRtpStreamStats, its network part.
type OutboundRTPStreamStats struct {
	RTPStreamStats
	Mid                      string `json:"mid"`
	RID                      string `json:"rid,omitempty"`
	RemoteID                 string `json:"remoteId,omitempty"`
	PacketsSent              uint64 `json:"packetsSent"`
	BytesSent                uint64 `json:"bytesSent"`
	HeaderBytesSent          uint64 `json:"headerBytesSent"`
	RetransmittedPacketsSent uint64 `json:"retransmittedPacketsSent"`
	RetransmittedBytesSent   uint64 `json:"retransmittedBytesSent"`
	FramesSent               uint64 `json:"framesSent"`
	NACKCount                uint32 `json:"nackCount"`
	PLICount                 uint32 `json:"pliCount"`
	FIRCount                 uint32 `json:"firCount"`
	Active                   bool   `json:"active"`
}

// RemoteInboundRTPStreamStats is W3C's RTCRemoteInboundRtpStreamStats: what the peer's receiver reports say.
type RemoteInboundRTPStreamStats struct {
	RTPStreamStats
	LocalID                   string  `json:"localId"`
	PacketsLost               int32   `json:"packetsLost"`
	FractionLost              float64 `json:"fractionLost"`
	Jitter                    float64 `json:"jitter"`
	RoundTripTime             float64 `json:"roundTripTime,omitempty"`
	TotalRoundTripTime        float64 `json:"totalRoundTripTime"`
	RoundTripTimeMeasurements uint64  `json:"roundTripTimeMeasurements"`
}

// DataChannelStats is W3C's RTCDataChannelStats.
type DataChannelStats struct {
	StatsCommon
	Label                 string `json:"label"`
	Protocol              string `json:"protocol"`
	DataChannelIdentifier int32  `json:"dataChannelIdentifier"`
	State                 string `json:"state"`
	MessagesSent          uint64 `json:"messagesSent"`
	BytesSent             uint64 `json:"bytesSent"`
	MessagesReceived      uint64 `json:"messagesReceived"`
	BytesReceived         uint64 `json:"bytesReceived"`
}
