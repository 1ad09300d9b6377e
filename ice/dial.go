package ice

import (
	"github.com/openparley/webrtc/ice/turn"
)

// addConnectedRelay asks for an allocation over a connection of its own.
func (a *Agent) addConnectedRelay(*server) {}

func (a *Agent) dialRelay(*relay, turn.EventDial) {}

func (a *Agent) undial(*relay) {}
