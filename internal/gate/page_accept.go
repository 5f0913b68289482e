package gate

import (
	"strconv"
	"strings"
)

// prefersHTML reports whether a client would rather have a page than JSON: its
// Accept header names HTML, with a higher weight than JSON (RFC 9110 section
// 12.5.1). A client that takes anything is a program.
func prefersHTML(accept []string) bool {
	var html, json float64
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			q := weight(parameters)
			switch kind = strings.ToLower(strings.TrimSpace(kind)); {
			case kind == "text/html" || kind == "application/xhtml+xml":
				html = max(html, q)
			case kind == "application/json" || strings.HasSuffix(kind, "+json"):
				json = max(json, q)
			}
		}
	}
	return html > json
}

// weight is the q of a media range, 1 where there is none and 0 for one that
// cannot be read.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}
