package l402

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCaveatConstructors(t *testing.T) {
	names := map[string]bool{
		"a": true, "lightning_loop": true, "a/b.c-d": true, strings.Repeat("a", 128): true,
		"": false, "a b": false, "a,b": false, "a:b": false, "a=b": false, "a\n": false, "a\x7f": false,
		strings.Repeat("a", 129): false,
	}
	for name, ok := range names {
		if _, err := ServicesCaveat(Service{Name: name}); (err == nil) != ok {
			t.Errorf("service %q: %v", name, err)
		}
		if _, err := CapabilitiesCaveat("a", name); (err == nil) != ok {
			t.Errorf("capability %q: %v", name, err)
		}
		if _, err := CapabilitiesCaveat(name, "a"); (err == nil) != ok {
			t.Errorf("capability of %q: %v", name, err)
		}
		if _, err := ValidUntilCaveat(name, time.Unix(1, 0)); (err == nil) != ok {
			t.Errorf("valid until of %q: %v", name, err)
		}
	}
	many := make([]Service, MaxListItems+1)
	for i := range many {
		many[i] = Service{Name: "a", Tier: uint8(i)}
	}
	if _, err := ServicesCaveat(many...); err == nil {
		t.Error("too many services")
	}
	caveat, err := ServicesCaveat(many[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseServices(caveat.Value); err != nil || !reflect.DeepEqual(got, many[1:]) {
		t.Errorf("services %v (%v)", got, err)
	}
	if _, err := ParseServices(caveat.Value + ",b:0"); ReasonOf(err) != ReasonMalformed {
		t.Errorf("too many services: %v", err)
	}
	if _, err := CapabilitiesCaveat("a"); err == nil {
		t.Error("no capabilities")
	}
	if _, err := ValidUntilCaveat("a", time.Unix(-1, 0)); err == nil {
		t.Error("before 1970")
	}
}
