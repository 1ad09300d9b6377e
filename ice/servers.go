package ice

import (
	"fmt"
	"slices"
)

// SetServers replaces Config.Servers for the next gathering. The error is ErrConfig when there are too many.
func (a *Agent) SetServers(servers []Server) error {
	if len(servers) > maxServers {
		return fmt.Errorf("%w: more than %d servers", ErrConfig, maxServers)
	}
	a.cfg.Servers = slices.Clone(servers)
	return nil
}
