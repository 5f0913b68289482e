package leyden

import (
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
)

func TestParseBirthday(t *testing.T) {
	for name, c := range map[string]struct{ text, want, code string }{
		"ok/none":       {"", "0001-01-01", ""},
		"ok/a day":      {"2024-05-31", "2024-05-31", ""},
		"fail/no day":   {"31.5.2024", "", "bad_birthday"},
		"fail/to come":  {time.Now().AddDate(1, 0, 0).Format(time.DateOnly), "", "bad_birthday"},
		"fail/no month": {"2024-13-01", "", "bad_birthday"},
	} {
		t.Run(name, func(t *testing.T) {
			var day time.Time
			err := parseBirthday(c.text, &day)
			if fault.Code(err) != c.code || err == nil && day.Format(time.DateOnly) != c.want {
				t.Errorf("%v, %v", day, err)
			}
		})
	}
}
