package sctp

import "slices"

const (
	// maxGaps caps the runs of TSNs received above a gap; a SACK reports the lowest that fit.
	maxGaps = 1024
	// maxAhead is how far above the cumulative TSN data is taken: gap blocks have 16 bits.
	maxAhead = 65000
	// maxDups caps the duplicate TSNs reported in one SACK.
	maxDups = 16
)

// tsnSet is the set of TSNs received: everything up to cum, and the runs above it, ascending, disjoint, not adjacent.
type tsnSet struct {
	cum  uint32
	runs []tsnRange
	dups []uint32 // since the last SACK
}

type tsnVerdict uint8

const (
	tsnNew tsnVerdict = iota
	tsnDuplicate
	tsnRefused // too far ahead, or one gap too many
)

// find returns the index of the first run that ends at or after tsn.
func (s *tsnSet) find(tsn uint32) int {
	n := len(s.runs)
	// Nearly always the newest TSN extends or follows the last run.
	if n == 0 || tsnLess(s.runs[n-1].last, tsn) {
		return n
	}
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		if tsnLess(s.runs[mid].last, tsn) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// check says what record would do.
func (s *tsnSet) check(tsn uint32) tsnVerdict {
	if tsnLessEq(tsn, s.cum) {
		return tsnDuplicate
	}
	if tsn == s.cum+1 {
		return tsnNew
	}
	if tsn-s.cum > maxAhead {
		return tsnRefused
	}
	i := s.find(tsn)
	if i < len(s.runs) && tsnLessEq(s.runs[i].first, tsn) {
		return tsnDuplicate
	}
	touches := i < len(s.runs) && s.runs[i].first == tsn+1 || i > 0 && s.runs[i-1].last+1 == tsn
	if !touches && len(s.runs) >= maxGaps {
		return tsnRefused
	}
	return tsnNew
}

// record adds a TSN for which check said tsnNew.
func (s *tsnSet) record(tsn uint32) {
	if tsn == s.cum+1 {
		s.cum = tsn
		s.absorb()
		return
	}
	i := s.find(tsn)
	below := i > 0 && s.runs[i-1].last+1 == tsn
	above := i < len(s.runs) && s.runs[i].first == tsn+1
	switch {
	case below && above:
		s.runs[i-1].last = s.runs[i].last
		s.runs = slices.Delete(s.runs, i, i+1)
	case below:
		s.runs[i-1].last = tsn
	case above:
		s.runs[i].first = tsn
	default:
		s.runs = slices.Insert(s.runs, i, tsnRange{tsn, tsn})
	}
}

// absorb moves cum over the runs that it has reached.
func (s *tsnSet) absorb() {
	n := 0
	for n < len(s.runs) && tsnLessEq(s.runs[n].first, s.cum+1) {
		if tsnLess(s.cum, s.runs[n].last) {
			s.cum = s.runs[n].last
		}
		n++
	}
	if n > 0 {
		s.runs = slices.Delete(s.runs, 0, n)
	}
}

// forward moves cum up to tsn (RFC 3758 section 3.6) and reports whether it moved.
func (s *tsnSet) forward(tsn uint32) bool {
	if tsnLessEq(tsn, s.cum) {
		return false
	}
	s.cum = tsn
	s.absorb()
	return true
}

func (s *tsnSet) duplicate(tsn uint32) {
	if len(s.dups) < maxDups {
		s.dups = append(s.dups, tsn)
	}
}
