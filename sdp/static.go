package sdp

// staticCodec is the codec of a payload type of RFC 3551 §6, or one without a name.
func staticCodec(pt uint8) Codec {
	c := Codec{PayloadType: pt}
	switch pt {
	case 0:
		c.Name, c.ClockRate = "PCMU", 8000
	case 3:
		c.Name, c.ClockRate = "GSM", 8000
	case 4:
		c.Name, c.ClockRate = "G723", 8000
	case 8:
		c.Name, c.ClockRate = "PCMA", 8000
	case 9:
		c.Name, c.ClockRate = "G722", 8000
	case 10:
		c.Name, c.ClockRate, c.Channels = "L16", 44100, 2
	case 11:
		c.Name, c.ClockRate, c.Channels = "L16", 44100, 1
	case 13:
		c.Name, c.ClockRate = "CN", 8000
	case 15:
		c.Name, c.ClockRate = "G728", 8000
	case 18:
		c.Name, c.ClockRate = "G729", 8000
	case 26:
		c.Name, c.ClockRate = "JPEG", 90000
	case 31:
		c.Name, c.ClockRate = "H261", 90000
	case 34:
		c.Name, c.ClockRate = "H263", 90000
	}
	return c
}
