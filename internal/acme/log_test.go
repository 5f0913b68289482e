package acme

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestAuthorityLogsWithUs(t *testing.T) {
	for level, want := range map[slog.Level][]string{
		slog.LevelInfo:  {"WARN", "acme: obtaining", "name:shop.example", "tries:2"},
		slog.LevelDebug: {"DEBUG", "acme: presenting"},
	} {
		var out bytes.Buffer
		log := zap.New(slogCore{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}).With(zap.String("name", "shop.example"))
		log.Info("presenting")
		log.Error("obtaining", zap.Int("tries", 2))
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%v: no %q in %s", level, w, out.String())
			}
		}
		if level == slog.LevelInfo && strings.Contains(out.String(), "presenting") {
			t.Errorf("what is usual is logged: %s", out.String())
		}
	}
}
