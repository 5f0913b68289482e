package lightning

import "testing"

// TestFrontSpeaksForItself: of a front's refusal the sentence is said; the
// reason is the code, and what to try the hint.
func TestFrontSpeaksForItself(t *testing.T) {
	for message, want := range map[string]refusal{
		"leyden: limit_day:abc: spent":                         {"limit_day", "spent", ""},
		"leyden: balance: too little: 5 sat (try: lncli help)": {"balance", "too little: 5 sat", "lncli help"},
		"leyden: stopping: the node stops":                     {"node_unreachable", "the node stops", ""},
	} {
		if got, ok := frontRefusal(message); !ok || got != want {
			t.Errorf("%q: %+v, %t", message, got, ok)
		}
	}
	for _, message := range []string{"", "leyden: ", "leyden: reason", "leyden: A b: c", "no: leyden"} {
		if got, ok := frontRefusal(message); ok {
			t.Errorf("%q: %+v", message, got)
		}
	}
}
