package differential

import (
	"errors"
	"slices"
	"strings"

	"culvert/wsconn"
)

// allowed are the differences that may be. Everything else is a failure.
var allowed = []struct {
	name, why string
	match     func(ours, theirs outcome) bool
}{
	{
		"masked frame of a server",
		"RFC 6455, 5.1: a client MUST close; theirs takes the frame and leaves the payload masked",
		func(ours, theirs outcome) bool {
			return blames(ours, 1002, "must be not masked") && goesOn(ours, theirs)
		},
	},
	{
		"unmasked frame of a client",
		"both end the connection; theirs does so without a Close frame with 1002 (5.1: MAY)",
		func(ours, theirs outcome) bool {
			return blames(ours, 1002, "") && theirs.code == 0 && strings.Contains(theirs.err.Error(), "unmasked") &&
				same(ours, theirs, violation)
		},
	},
	{
		"length of 2^63 and more",
		"both end the connection; theirs without a Close frame, and before the rest of the header has come",
		func(ours, theirs outcome) bool {
			early := ours.end == cut && ours.code == 0
			return (early || blames(ours, 1002, "2^63")) && theirs.code == 0 && strings.Contains(theirs.err.Error(), "negative") &&
				same(ours, theirs, violation)
		},
	},
	{
		"text that is not UTF-8",
		"RFC 6455, 8.1: MUST fail the connection; theirs leaves that to its caller",
		func(ours, theirs outcome) bool { return blames(ours, 1007, "UTF-8") && goesOn(ours, theirs) },
	},
	{
		"close reason that is not UTF-8",
		"the same, 5.5.1 and 8.1; theirs echoes the code",
		func(ours, theirs outcome) bool {
			return blames(ours, 1002, "reason is not UTF-8") && theirs.code >= 1000 && same(ours, theirs, closed)
		},
	},
	{
		"cut in a frame of a client",
		"theirs hands on what came of the frame still masked, with the error",
		func(ours, theirs outcome) bool {
			n := len(theirs.payload)
			return ours.end == cut && theirs.end == cut && theirs.doubtful > 0 && len(ours.payload) == n &&
				strings.HasPrefix(ours.payload, theirs.payload[:n-theirs.doubtful]) && slices.Equal(ours.texts, theirs.texts)
		},
	},
	{
		"cut in a text, between frames or behind a header",
		"theirs takes the end of the connection for that of the message, and hands on the part as a whole text",
		func(ours, theirs outcome) bool {
			n := len(ours.texts)
			return ours.end == cut && theirs.end == cut && len(theirs.texts) == n+1 &&
				slices.Equal(ours.texts, theirs.texts[:n]) && ours.payload == theirs.payload
		},
	},
}

// blames reports whether o is a violation, answered with code, for a reason.
func blames(o outcome, code uint16, reason string) bool {
	var offence *wsconn.ProtocolError
	return o.code == code && errors.As(o.err, &offence) && strings.Contains(offence.Reason, reason)
}

// same reports whether both received the same, and theirs ended so.
func same(ours, theirs outcome, end string) bool {
	return theirs.end == end && ours.payload == theirs.payload && slices.Equal(ours.texts, theirs.texts)
}

// goesOn reports whether theirs received more than ours, which saw an offence.
func goesOn(ours, theirs outcome) bool {
	return strings.HasPrefix(theirs.payload, ours.payload) && len(theirs.texts) >= len(ours.texts) &&
		slices.Equal(ours.texts, theirs.texts[:len(ours.texts)])
}
