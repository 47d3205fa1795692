package membership

import (
	"net/netip"
	"strings"
)

// Group returns what an address has in common with its neighbourhood: the first 16
// bits of an IPv4 address, the first 32 of an IPv6 address, a DNS name. Peers of one
// group may well fail, or deceive, together, so neighbours are drawn over groups.
func Group(addr string) string {
	parts := strings.SplitN(addr, "/", 4) // "", protocol, value, rest
	if len(parts) < 3 {
		return "?"
	}
	switch parts[1] {
	case "ip4", "ip6":
		ip, err := netip.ParseAddr(parts[2])
		if err != nil {
			return "?"
		}
		ip = ip.Unmap()
		bits := 32
		if ip.Is4() {
			bits = 16
		}
		prefix, err := ip.Prefix(bits)
		if err != nil {
			return "?"
		}
		return prefix.String()
	case "dns", "dns4", "dns6", "dnsaddr":
		return strings.ToLower(parts[2])
	}
	return "?"
}

// group of a record is that of its first address.
func (r *Record) group() string {
	if len(r.Addrs) == 0 {
		return "?"
	}
	return Group(r.Addrs[0])
}
