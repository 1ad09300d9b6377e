module github.com/openparley/webrtc/e2e

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	golang.org/x/sys v0.47.0
)

replace github.com/openparley/webrtc => ../
