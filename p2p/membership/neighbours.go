package membership

import (
	"maps"
	"slices"
	"time"

	"grapevine/block"
)

// choose decides whom to be connected to, and says what changes:
//
//   - all live members while there are few, else some, drawn at random over address
//     groups, one of which is exchanged now and then;
//   - bootstrap peers that are not known to live, for ever, since they may be the way
//     back into the network, and those that are until there are enough others: they
//     would have all peers for neighbours otherwise;
//   - some of those known by hearsay, to find out whether they exist;
//   - now and then a dead member, since it may be our side that was cut off.
func (c *Core) choose(now time.Time) {
	c.sweep(now)
	want := make(map[block.PublicKey]Contact)
	c.chooseBootstrap(want, c.chooseMembers(now, want))
	c.chooseHearsay(want)
	c.chooseTrial(now, want)
	for _, k := range sortedKeys(c.wanted) {
		if _, still := want[k]; !still {
			delete(c.wanted, k)
			c.do(Release{k})
		}
	}
	for _, k := range sortedKeys(want) {
		if !c.wanted[k] {
			c.wanted[k] = true
			c.do(Connect{want[k]})
		}
	}
}

func sortedKeys[V any](m map[block.PublicKey]V) []block.PublicKey {
	return slices.SortedFunc(maps.Keys(m), compareKeys)
}

// eligible says whether a member can be a neighbour of ours by our own dialling.
func (c *Core) eligible(m *member) bool {
	return m != c.self && m.met && !m.buried() && len(m.Addrs) > 0
}

// chooseMembers returns how many neighbours there are, or soon will be, besides
// bootstrap peers.
func (c *Core) chooseMembers(now time.Time, want map[block.PublicKey]Contact) int {
	var all, drawn []*member
	neighbours, others := 0, 0
	for _, m := range c.view.order {
		if m.drawn = m.drawn && c.eligible(m); m.drawn {
			drawn = append(drawn, m)
		}
		if m.linked && m != c.self || m.drawn {
			neighbours++
			if !c.bootstraps[m.Owner] {
				others++
			}
		}
		if c.eligible(m) {
			all = append(all, m)
		}
	}
	if len(all)+1 <= c.cfg.Full {
		drawn = all
	} else {
		if rotate := !now.Before(c.nextRotate); rotate && len(drawn) > 0 {
			c.nextRotate = now.Add(rotateEvery)
			i := c.rng.IntN(len(drawn))
			drawn[i].drawn = false
			delete(c.wanted, drawn[i].Owner)
			c.do(Release{drawn[i].Owner})
			drawn = slices.Delete(drawn, i, i+1)
			neighbours--
		}
		drawn = append(drawn, c.draw(all, c.cfg.Active-neighbours)...)
	}
	for _, m := range drawn {
		m.drawn = m.drawn || len(all)+1 > c.cfg.Full || !c.bootstraps[m.Owner]
		want[m.Owner] = c.contact(m)
	}
	return others
}

// draw picks n members that are neither drawn nor linked: first a group at random,
// then one of its members. Those that were dialled to see whether they exist stay as
// long as there are not too many; if there are, n is negative.
func (c *Core) draw(all []*member, n int) []*member {
	var out []*member
	groups := make(map[string][]*member)
	for _, m := range all {
		switch {
		case m.drawn || m.linked && c.bootstraps[m.Owner]:
		case m.linked && c.wanted[m.Owner] && n >= 0:
			out = append(out, m) // it is counted among the neighbours already
		case m.linked && c.wanted[m.Owner]:
			n++ // it goes
		case !m.linked && n > 0:
			groups[m.group] = append(groups[m.group], m)
		}
	}
	return append(out, c.drawOver(groups, n)...)
}

func (c *Core) drawOver(groups map[string][]*member, n int) []*member {
	names := slices.Sorted(maps.Keys(groups))
	var out []*member
	for len(out) < n && len(names) > 0 {
		g := c.rng.IntN(len(names))
		list := groups[names[g]]
		i := c.rng.IntN(len(list))
		out = append(out, list[i])
		if list = slices.Delete(list, i, i+1); len(list) == 0 {
			names = slices.Delete(names, g, g+1)
		} else {
			groups[names[g]] = list
		}
	}
	return out
}

func (c *Core) chooseBootstrap(want map[block.PublicKey]Contact, others int) {
	for _, b := range c.cfg.Bootstrap {
		m := c.view.get(b.Key)
		lives := m != nil && m.met && !m.buried()
		if b.Key != c.cfg.Self && (!lives || others < c.cfg.Active/2) {
			want[b.Key] = b
			if m != nil {
				want[b.Key] = c.contact(m)
			}
		}
	}
}

func (c *Core) chooseHearsay(want map[block.PublicKey]Contact) {
	var idle []*member
	busy := 0
	for _, m := range c.view.order {
		if m.met || m.buried() || m.linked || len(m.Addrs) == 0 {
			continue
		}
		if _, chosen := want[m.Owner]; c.wanted[m.Owner] || chosen {
			want[m.Owner] = c.contact(m)
			busy++
		} else {
			idle = append(idle, m)
		}
	}
	for ; busy < tentativeDials && len(idle) > 0; busy++ {
		i := c.rng.IntN(len(idle))
		want[idle[i].Owner] = c.contact(idle[i])
		idle = slices.Delete(idle, i, i+1)
	}
}

// chooseTrial keeps trying one dead member for a while, then another. When it turns
// out to live it stays for the rest of that time, so that the two sides can tell each
// other of all the others they had lost.
func (c *Core) chooseTrial(now time.Time, want map[block.PublicKey]Contact) {
	if !now.Before(c.nextRetry) {
		c.nextRetry = now.Add(retryEvery)
		var dead []*member
		for _, m := range c.view.order {
			if m.state == Dead && !m.linked && len(m.Addrs) > 0 {
				dead = append(dead, m)
			}
		}
		c.trial = block.PublicKey{}
		if len(dead) > 0 {
			c.trial = dead[c.rng.IntN(len(dead))].Owner
		}
	}
	if m := c.view.get(c.trial); m != nil && m.state != Left {
		want[c.trial] = c.contact(m)
	}
}

// contact returns where to find a member: where its record says, and where our
// operator says.
func (c *Core) contact(m *member) Contact {
	addrs := slices.Clone(m.Addrs)
	for _, b := range c.cfg.Bootstrap {
		if b.Key != m.Owner {
			continue
		}
		for _, a := range b.Addrs {
			if !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	return Contact{m.Owner, addrs}
}
