package mux

// streamSet is the streams of a session by their numbers. As a rule there is one,
// and no map then.
type streamSet struct {
	only *stream // nil if there are none, or several
	many map[uint32]*stream
}

// get returns the stream with the number id, nil if there is none.
func (set *streamSet) get(id uint32) *stream {
	if st := set.only; st != nil && st.id == id {
		return st
	}
	return set.many[id]
}

// add adds st, whose number is not there.
func (set *streamSet) add(st *stream) {
	switch {
	case set.only == nil && len(set.many) == 0:
		set.only = st
		return
	case set.many == nil:
		set.many = map[uint32]*stream{}
	}
	if set.only != nil {
		set.many[set.only.id], set.only = set.only, nil
	}
	set.many[st.id] = st
}

// remove removes st if it is there, and reports whether it was.
func (set *streamSet) remove(st *stream) bool {
	if set.get(st.id) != st {
		return false
	}
	if set.only == st {
		set.only = nil
	} else {
		delete(set.many, st.id)
	}
	return true
}

// clear removes all, and returns them.
func (set *streamSet) clear() []*stream {
	var all []*stream
	if set.only != nil {
		all = append(all, set.only)
	}
	for _, st := range set.many {
		all = append(all, st)
	}
	*set = streamSet{}
	return all
}
