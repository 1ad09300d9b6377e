package sdp

// Parse reads a session description.
func Parse(text string) (*Session, error) {
	return nil, &SyntaxError{Reason: "not a description"}
}
