// Package local runs networks of real peer processes on one machine, over the
// loopback interface. The processes outlive the command that started them: what is
// known of them is in a file, so another shell can look after them.
//
//	DIR/testnet.json     the peers: addresses, process IDs, start times
//	DIR/testnet.lock     held by whoever is changing the network
//	DIR/client.key       signs what people submit
//	DIR/acknowledged     IDs of the transactions that peers acknowledged
//	DIR/peer-0/ …        home directories; 0 is the orderer
//	DIR/peer-0/peer.log  JSON log lines, over all restarts
//
// Invariants:
//
//   - A process is known by its ID and its start time together. Process IDs are
//     used again by the system; no signal goes to a process that is not ours.
//   - testnet.json is replaced whole. Whoever changes it holds the lock, and reads
//     it again under the lock.
//   - Each peer leads a session of its own, so neither a closed terminal nor Ctrl-C
//     reaches it.
//   - A network that could not be brought up whole is taken down whole.
//   - What belongs into a home directory the peer program knows: it is told by peer init.
//
// Up, Start, Kill and Down each change the network in a directory, and leave it to the
// next who comes. A Session has it to itself from beginning to end.
package local
