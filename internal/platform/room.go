package platform

import "errors"

// ErrNoRoom is wrapped by errors of Cluster.Deploy where no node has room for a pod, next to those that are there.
var ErrNoRoom = errors.New("no node has room")
