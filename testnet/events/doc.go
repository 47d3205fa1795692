// Package events is the event world: the protocol cores of every peer, driven by one
// heap of events in virtual time. A scenario with a seed gives one trace, to the bit:
// times are whole nanoseconds, rates whole bits a second, every random choice comes
// from the seed, and no map is gone through.
//
// What is simulated of the network (links.go, flow.go): each peer has an access link
// of its own, up and down, on which the connections take turns, and a way to every
// other peer that takes time and may lose packets. A connection paces and limits what
// it sends as QUIC's sender does, and sends again what was lost. What is simulated of
// a node is what its driver does, with signatures always right and the disk at no cost:
// grapevine.go drives dissemination/protocol, and fabric.go the cores of others, each
// through the interface mind (peer.go). Messages have the sizes that the real encoding
// gives them (message.Size, held against it by a test).
//
// What is left out: processor time, the handshake's bytes, names and routes, the
// transactions' own gossip. Pools are as warm as the scenario says (scenario.Warm).
package events
