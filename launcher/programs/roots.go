package programs

// roots returns the packages beyond the base system that no other such package needs or recommends.
// Packages that need one another count as one: none of them is a root if another needs any.
func (s *system) roots() (list []*pkg) {
	c := components{system: s, number: map[*pkg]int{}, low: map[*pkg]int{}, of: map[*pkg]int{}}
	var beyond []*pkg
	for _, name := range s.names {
		if p := s.packages[name]; !p.base {
			beyond = append(beyond, p)
			if c.number[p] == 0 {
				c.visit(p)
			}
		}
	}
	needed := map[int]bool{}
	for _, p := range beyond {
		for _, need := range c.next(p) {
			if c.of[need] != c.of[p] {
				needed[c.of[need]] = true
			}
		}
	}
	for _, p := range beyond {
		if !needed[c.of[p]] {
			list = append(list, p)
		}
	}
	return list
}

// components finds packages that need one another, by Tarjan's algorithm.
type components struct {
	*system
	number, low map[*pkg]int // in the order of visits, from 1
	of          map[*pkg]int // the component of a package, from 1
	stack       []*pkg
	count       int
}

func (c *components) next(p *pkg) (list []*pkg) {
	for _, names := range [][]string{p.needs, p.wants} {
		for _, need := range c.needed(names) {
			if !need.base && need != p {
				list = append(list, need)
			}
		}
	}
	return list
}

// visit is recursive, as deep as the longest chain of packages; maxPackages bounds that.
func (c *components) visit(p *pkg) {
	c.number[p] = len(c.number) + 1
	c.low[p] = c.number[p]
	c.stack = append(c.stack, p)
	for _, need := range c.next(p) {
		switch {
		case c.number[need] == 0:
			c.visit(need)
			c.low[p] = min(c.low[p], c.low[need])
		case c.of[need] == 0: // it is on the stack
			c.low[p] = min(c.low[p], c.number[need])
		}
	}
	if c.low[p] != c.number[p] {
		return
	}
	c.count++
	for {
		top := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		if c.of[top] = c.count; top == p {
			return
		}
	}
}
