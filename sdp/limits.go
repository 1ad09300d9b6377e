package sdp

// Limits of Parse: a description beyond them is refused.
const (
	// MaxSize of the text in bytes.
	MaxSize = 1 << 20
	// MaxSections is how many m= lines a description may have.
	MaxSections = 512
	// MaxLines of the text.
	MaxLines = 32768
)
