package rtpflow

import "encoding/binary"

// appendRTCPHeader appends the first word; length is that of the whole packet in bytes.
func appendRTCPHeader(dst []byte, typ, count uint8, length int) []byte {
	dst = append(dst, 0x80|count, typ)
	return binary.BigEndian.AppendUint16(dst, uint16(length/4-1))
}

// AppendSenderReport appends a sender report with up to 31 reception reports (RFC 3550 §6.4.1).
func AppendSenderReport(dst []byte, s SenderInfo, blocks []ReportBlock) []byte {
	blocks = blocks[:min(len(blocks), maxReportBlocks)]
	dst = appendRTCPHeader(dst, TypeSenderReport, uint8(len(blocks)), senderReportSize+len(blocks)*reportBlockSize)
	dst = binary.BigEndian.AppendUint32(dst, s.SSRC)
	dst = binary.BigEndian.AppendUint64(dst, s.NTP)
	dst = binary.BigEndian.AppendUint32(dst, s.RTP)
	dst = binary.BigEndian.AppendUint32(dst, s.Packets)
	dst = binary.BigEndian.AppendUint32(dst, s.Octets)
	return appendReportBlocks(dst, blocks)
}

// AppendReceiverReport appends a receiver report with up to 31 reception reports (RFC 3550 §6.4.2).
func AppendReceiverReport(dst []byte, ssrc uint32, blocks []ReportBlock) []byte {
	blocks = blocks[:min(len(blocks), maxReportBlocks)]
	dst = appendRTCPHeader(dst, TypeReceiverReport, uint8(len(blocks)), receiverReportHeader+len(blocks)*reportBlockSize)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	return appendReportBlocks(dst, blocks)
}

func appendReportBlocks(dst []byte, blocks []ReportBlock) []byte {
	for _, b := range blocks {
		dst = binary.BigEndian.AppendUint32(dst, b.SSRC)
		dst = binary.BigEndian.AppendUint32(dst, uint32(b.FractionLost)<<24|uint32(b.Lost)&0xffffff)
		dst = binary.BigEndian.AppendUint32(dst, b.Highest)
		dst = binary.BigEndian.AppendUint32(dst, b.Jitter)
		dst = binary.BigEndian.AppendUint32(dst, b.LSR)
		dst = binary.BigEndian.AppendUint32(dst, b.DLSR)
	}
	return dst
}

const sdesCNAME = 1

// cnameChunkSize is the size of one SDES chunk: SSRC, item, and one to four zero bytes (RFC 3550 §6.5).
func cnameChunkSize(cname string) int {
	return (4+2+len(cname))/4*4 + 4
}

// AppendSourceDescription appends an SDES packet that gives the same CNAME, of at most 255 bytes, to up to 31 sources.
func AppendSourceDescription(dst []byte, cname string, ssrcs []uint32) []byte {
	ssrcs = ssrcs[:min(len(ssrcs), maxReportBlocks)]
	cname = cname[:min(len(cname), 255)]
	dst = appendRTCPHeader(dst, TypeSourceDescription, uint8(len(ssrcs)), 4+len(ssrcs)*cnameChunkSize(cname))
	for _, ssrc := range ssrcs {
		start := len(dst)
		dst = binary.BigEndian.AppendUint32(dst, ssrc)
		dst = append(dst, sdesCNAME, uint8(len(cname)))
		dst = append(dst, cname...)
		for end := start + cnameChunkSize(cname); len(dst) < end; {
			dst = append(dst, 0)
		}
	}
	return dst
}

// AppendGoodbye appends a BYE for up to 31 sources (RFC 3550 §6.6).
func AppendGoodbye(dst []byte, ssrcs []uint32) []byte {
	ssrcs = ssrcs[:min(len(ssrcs), maxReportBlocks)]
	dst = appendRTCPHeader(dst, TypeGoodbye, uint8(len(ssrcs)), 4+4*len(ssrcs))
	for _, ssrc := range ssrcs {
		dst = binary.BigEndian.AppendUint32(dst, ssrc)
	}
	return dst
}

// AppendPLI appends a picture loss indication (RFC 4585 §6.3.1).
func AppendPLI(dst []byte, sender, media uint32) []byte {
	dst = appendRTCPHeader(dst, TypePayloadFeedback, FeedbackPLI, 12)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	return binary.BigEndian.AppendUint32(dst, media)
}

// AppendFIR appends a full intra request for one source (RFC 5104 §4.3.1).
func AppendFIR(dst []byte, sender, media uint32, seq uint8) []byte {
	dst = appendRTCPHeader(dst, TypePayloadFeedback, FeedbackFIR, 20)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, 0) // "SSRC of media source is not used and SHALL be set to 0"
	dst = binary.BigEndian.AppendUint32(dst, media)
	return append(dst, seq, 0, 0, 0)
}

// AppendNACK appends a generic NACK for sequence numbers in ascending order (RFC 4585 §6.2.1). Without any it appends
// nothing.
func AppendNACK(dst []byte, sender, media uint32, missing []uint16) []byte {
	if len(missing) == 0 {
		return dst
	}
	start := len(dst)
	dst = appendRTCPHeader(dst, TypeTransportFeedback, FeedbackNACK, 12)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, media)
	for i := 0; i < len(missing); {
		pid, blp := missing[i], uint16(0)
		for i++; i < len(missing); i++ {
			d := missing[i] - pid - 1
			if d >= 16 {
				break
			}
			blp |= 1 << d
		}
		dst = binary.BigEndian.AppendUint16(dst, pid)
		dst = binary.BigEndian.AppendUint16(dst, blp)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16((len(dst)-start)/4-1))
	return dst
}
